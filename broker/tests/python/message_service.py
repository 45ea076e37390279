"""MessageBrokerService by grpcio. Arguments: the broker's gRPC address and its URL."""

import concurrent.futures
import json
import sys
import time
import uuid

import grpc
import message_pb2
import message_pb2_grpc
import requests

address, url = sys.argv[1:]
channel = grpc.insecure_channel(address)
broker = message_pb2_grpc.MessageBrokerServiceStub(channel)


def send(topic, payload, reply_to=""):
    request = message_pb2.SendMessageRequest(topic=topic, payload=payload, reply_to=reply_to)
    return broker.SendMessage(request, timeout=20)


def receive(topic):
    return broker.ReceiveMessage(message_pb2.ReceiveMessageRequest(topic=topic), timeout=20)


def receive_within(topic, seconds):
    """Polls, as the callers of the replaced broker do."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = receive(topic)
        if answer.has_message:
            return answer
        time.sleep(0.01)
    return None


def one_message_and_no_more():
    sent = send("greetings", '{"text": "grüße"}')
    assert sent.success and sent.message_id and not sent.error_message, sent
    received = receive("greetings")
    assert received.has_message and received.message_id == sent.message_id, received
    assert received.topic == "greetings" and received.reply_to == "", received
    assert json.loads(received.payload) == {"text": "grüße"}, received
    assert receive("greetings") == message_pb2.ReceiveMessageResponse()


def bad_payload():
    refused = send("greetings", "{no json")
    assert not refused.success and refused.message_id == "", refused
    assert "not valid JSON" in refused.error_message, refused


def request_and_reply(number):
    """A caller asks with a reply queue of its own, and waits about a second for the answer."""
    reply_to = f"reply.{uuid.uuid4()}"
    assert send("questions", json.dumps({"number": number}), reply_to).success
    answer = receive_within(reply_to, 10)
    assert answer is not None, f"no reply to {number}"
    assert json.loads(answer.payload) == {"double": 2 * number}, answer


def answer_questions(count):
    for _ in range(count):
        question = receive_within("questions", 10)
        number = json.loads(question.payload)["number"]
        assert send(question.reply_to, json.dumps({"double": 2 * number})).success


def five_callers_at_once():
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        tasks = [pool.submit(answer_questions, 5)]
        tasks += [pool.submit(request_and_reply, number) for number in range(5)]
        for task in tasks:
            task.result(timeout=60)


def five_consumers_share_a_queue():
    sent = [send("work", str(number)).message_id for number in range(50)]

    def drain(_):
        received = []
        while (answer := receive("work")).has_message:
            received.append(answer.message_id)
        return received

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        received = [one for taken in pool.map(drain, range(5)) for one in taken]
    assert sorted(received) == sorted(sent), (len(received), len(set(received)))


def native_api_sees_reply_to():
    send("asked", "1", "answers")
    messages = requests.get(f"{url}/v1/topics/asked/messages", timeout=10).json()["messages"]
    assert messages[0]["reply_to"] == "answers", messages


def sizes():
    large = send("large", json.dumps("x" * 1_000_000))
    assert large.success and len(receive("large").payload) == 1_000_002
    try:
        send("large", json.dumps("x" * 3_000_000))
        raise AssertionError("it was accepted")
    except grpc.RpcError as refused:
        assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, refused


def health_and_reflection():
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    assert check(b"", timeout=10) == b"\x08\x01"  # status = SERVING
    for version in ["v1", "v1alpha"]:
        ask = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
        (listed,) = ask(iter([b"\x3a\x00"]), timeout=10)  # list_services = ""
        for service in [b"message.MessageBrokerService", b"broker.Broker", b"grpc.health.v1.Health"]:
            assert service in listed, listed


for check in [
    one_message_and_no_more,
    bad_payload,
    five_callers_at_once,
    five_consumers_share_a_queue,
    native_api_sees_reply_to,
    sizes,
    health_and_reflection,
]:
    begun = time.monotonic()
    check()
    print(f"{check.__name__}: {time.monotonic() - begun:.2f} s")
print("all is well")
