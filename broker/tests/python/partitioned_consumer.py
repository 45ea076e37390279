"""A consumer of one partition of the partitioned queue: one stream, cut into lines by a buffer of
64 KiB, and an ack for each message. It comes back whenever its stream ends.

partitioned_consumer.py URL_FILE TOPIC PARTITION GROUP ack|silent
Prints `received <id>`, and `acked <id>` when an ack was answered with 200. A silent one never acks.
"""

import http.client
import json
import sys
import time
import urllib.parse

url_file, topic, partition, group, manner = sys.argv[1:]
PLACE = f"topic={topic}&partition={partition}&group={group}"
BUFFER_BYTES = 64 * 1024
PAUSE_SECONDS = 0.05


def connect():
    with open(url_file) as file:
        address = urllib.parse.urlsplit(file.read())
    return http.client.HTTPConnection(address.hostname, address.port, timeout=60)


def ack(connection, message_id):
    connection.request("POST", f"/ack?{PLACE}", json.dumps({"id": message_id}))
    answer = connection.getresponse()
    answer.read()
    if answer.status == 200:
        print("acked", message_id, flush=True)


def lines(stream):
    while line := stream.readline(BUFFER_BYTES):
        if not line.endswith(b"\n"):
            print("a line exceeds the buffer, or was cut", file=sys.stderr)
            return
        yield line.decode().rstrip("\n")


def consume():
    stream_connection, ack_connection = connect(), connect()
    stream_connection.request("GET", f"/consume?{PLACE}")
    stream = stream_connection.getresponse()
    if stream.status != 200:
        raise OSError(f"status {stream.status}")
    message_id = None
    for line in lines(stream):
        if line.startswith("id: "):
            message_id = line[len("id: "):]
        elif line.startswith("data: "):
            message = json.loads(line[len("data: "):])
            assert message["id"] == message_id, line
            assert message["payload"].startswith(f"{partition}-"), line
            print("received", message_id, flush=True)
            if manner == "ack":
                ack(ack_connection, message_id)


while True:
    try:
        consume()
    except (OSError, http.client.HTTPException) as error:
        print(repr(error), file=sys.stderr)
    time.sleep(PAUSE_SECONDS)
