#!/bin/sh
# Create a video, poll until it has ended, download it, end the token, and see that it has ended.
#
#   LEAKDRILL_TOKEN=ldk_… sh video.sh
set -eu
api=${LEAKDRILL_URL:-http://127.0.0.1:8000}
bearer="Authorization: Bearer $LEAKDRILL_TOKEN"
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

video=$(curl -sf "$api/v1/videos" -H "$bearer" -F prompt="a dog on a skateboard" -F seconds=4 | field id)
status=queued
while [ "$status" = queued ] || [ "$status" = in_progress ]; do
  sleep 1
  status=$(curl -sf "$api/v1/videos/$video" -H "$bearer" | field status)
done
echo "$video is $status"
curl -sf "$api/v1/videos/$video/content" -H "$bearer" -o clip.mp4

curl -sf "$api/oauth/revoke" -d token="$LEAKDRILL_TOKEN"
echo "the token is now answered $(curl -s -o refused.json -w '%{http_code}' "$api/v1/videos" -H "$bearer")"
