"""Create a video, wait for it, download it, end the token, and see that it has ended.

pip install openai
LEAKDRILL_TOKEN=ldk_… python video.py
"""

import os
import urllib.parse
import urllib.request

import openai

api = os.environ.get("LEAKDRILL_URL", "http://127.0.0.1:8000")
token = os.environ["LEAKDRILL_TOKEN"]
client = openai.OpenAI(base_url=f"{api}/v1", api_key=token)

video = client.videos.create_and_poll(prompt="a dog on a skateboard", seconds="4", poll_interval_ms=500)
print(f"{video.id} is {video.status}")
client.videos.download_content(video.id).write_to_file("clip.mp4")

# RFC 7009: whoever holds a token may end it.
urllib.request.urlopen(f"{api}/oauth/revoke", data=urllib.parse.urlencode({"token": token}).encode())
try:
    client.videos.retrieve(video.id)
except openai.AuthenticationError as refused:
    print(f"the token is now answered {refused.status_code}")
