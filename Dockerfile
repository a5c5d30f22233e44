# One image, roles by command: `docker run leakdrill up`, `… gateway`, `… worker`, `… page`, `… demo`.
# It runs with a read-only root and no capabilities: docs/cluster.md. `python scripts/image_steps.py` plays these lines.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/leakdrill
COPY requirements.txt requirements-postgres.txt ./
RUN /opt/leakdrill/bin/pip install --require-hashes -r requirements.txt -r requirements-postgres.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY frontend frontend
COPY fake_model fake_model
COPY drills drills
COPY loadtest loadtest
COPY seeds seeds
COPY leakdrill_pytest leakdrill_pytest
COPY docs/class docs/class
# What nothing here calls goes, a fifth of the whole: others' tests, the installer, and of Gradio its pages for a Node
# server, its examples, and the ffmpeg with which a browser would trim uploads.
RUN /opt/leakdrill/bin/pip install --no-deps --no-build-isolation . \
    && find /opt/leakdrill/lib -type d \( -name tests \
    -o -path '*/site-packages/pip' -o -path '*/site-packages/pip-*' \
    -o -path '*/gradio/templates/node' -o -path '*/gradio/templates/frontend/static/ffmpeg' \
    -o -path '*/gradio/media_assets' \) -prune -exec rm -rf '{}' +

FROM python:3.13-slim
LABEL org.opencontainers.image.title="leakdrill" \
    org.opencontainers.image.description="A mock video-generation API gateway that can be leaked, and cut off, on purpose." \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --create-home --uid 10001 leakdrill \
    && install -d -o leakdrill -g leakdrill /data
COPY --from=build /opt/leakdrill /opt/leakdrill
# Inside a container the gateway and the page are reached through published ports, so they bind every address.
ENV PATH=/opt/leakdrill/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LEAKDRILL_DATA=/data \
    LEAKDRILL_HOST=0.0.0.0 \
    LEAKDRILL_PAGE_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000 7860
# For `up` and `gateway`, on the port of LEAKDRILL_PORT, past any HTTP proxy of the environment. A worker has no port and
# the page another: who runs them alone turns this off or names another check, as compose.yaml does.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('LEAKDRILL_PORT', '8000') + '/readyz', timeout=2)"]
ENTRYPOINT ["leakdrill"]
CMD ["up"]
