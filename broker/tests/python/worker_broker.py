"""The worker broker's clients and workers by grpcio. Arguments: the broker's gRPC address, its URL."""

import concurrent.futures
import json
import os
import queue
import socket
import sys
import threading
import time

import broker_pb2
import broker_pb2_grpc
import grpc
import requests

address, url = sys.argv[1:]
broker = broker_pb2_grpc.BrokerStub(grpc.insecure_channel(address))


def register_queue(name, length=10):
    return broker.RegisterQueue(broker_pb2.QueueRequest(name=name, buffer_length=length), timeout=20)


def register_worker(queue_id, target):
    request = broker_pb2.WorkerRequest(queue=queue_id, tcp_connection=target)
    return broker.RegisterWorker(request, timeout=20).status


def send_task(queue_id, data):
    return broker.SendTask(broker_pb2.TaskRequest(queue=queue_id, data=data), timeout=20).status


class Worker(broker_pb2_grpc.BrokerServicer):
    """Serves the same service as the broker, as its workers do: tasks come by SendTask."""

    def __init__(self, work=lambda task, context: None):
        # Keeps the port for us; nobody listens yet, so connections are refused.
        self.port_holder = socket.socket()
        self.port_holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.port_holder.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.port_holder.getsockname()[1]
        self.tasks = queue.Queue()
        self.work = work

    def listen(self):
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        broker_pb2_grpc.add_BrokerServicer_to_server(self, self.server)
        assert self.server.add_insecure_port(self.address), self.address
        self.server.start()

    def SendTask(self, request, context):
        self.work(request.data, context)
        self.tasks.put((request.queue, request.data))
        return broker_pb2.TaskResponse(status=200)

    def take(self, count):
        return [self.tasks.get(timeout=60) for _ in range(count)]


def queues_are_numbered_in_order():
    first = register_queue("first")
    assert (first.status, first.queue) == (200, 1), first
    second = register_queue("second", 0)
    assert (second.status, second.queue) == (200, 2), second
    again = register_queue("first", 99)
    assert (again.status, again.queue) == (200, 1), again


def what_is_wrong_has_a_status():
    assert register_queue("third", -1).status == 400
    assert register_queue("no/such name").status == 400
    assert send_task(77, b"1") == 404
    assert register_worker(77, "127.0.0.1:9") == 404
    for target in ["", "nonsense", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "ftp://127.0.0.1:9"]:
        assert register_worker(1, target) == 400, target
    assert requests.post(f"{url}/tasks?queue=77", data="1", timeout=10).status_code == 404
    listed = requests.get(f"{url}/v1/workers", timeout=10).json()["workers"]
    assert listed == [], listed


def a_worker_registers_before_it_listens():
    """Every task arrives byte for byte, whatever its bytes are."""
    worker = Worker()
    queue_id = register_queue("bytes").queue
    assert register_worker(queue_id, worker.address) == 200
    tasks = [
        b'{"json": [1, 2.50, "\xc3\xbc"]}',
        b'{"pretty":\r\n  "json"}\r\n',
        b"  17  ",
        b"",
        b"plain text",
        bytes(range(256)),
        os.urandom(100_000),
    ]
    for task in tasks:
        assert send_task(queue_id, task) == 200
    over_http = requests.post(f"{url}/tasks?queue=bytes", json={"over": "http"}, timeout=10)
    assert over_http.status_code == 201 and over_http.json()["queue"] == queue_id, over_http.text
    worker.listen()
    arrived = worker.take(len(tasks) + 1)
    assert {queue for queue, _ in arrived} == {queue_id}, arrived
    arrived = sorted(task for _, task in arrived)
    expected = sorted([*tasks, json.dumps({"over": "http"}).encode()])
    assert arrived == expected, [one[:40] for one in arrived]


def the_same_worker_four_times_works_on_four_at_once():
    together = threading.Barrier(4)
    worker = Worker(lambda task, context: together.wait(timeout=30))
    worker.listen()
    queue_id = register_queue("four").queue
    for _ in range(4):
        assert register_worker(queue_id, worker.address) == 200
    sent = [b"%d" % number for number in range(8)]
    for task in sent:
        assert send_task(queue_id, task) == 200
    assert sorted(task for _, task in worker.take(8)) == sent


def a_task_that_failed_comes_again():
    attempts = []

    def fail_once(task, context):
        attempts.append(task)
        if len(attempts) == 1:
            context.abort(grpc.StatusCode.INTERNAL, "not today")

    worker = Worker(fail_once)
    worker.listen()
    queue_id = register_queue("again").queue
    assert register_worker(queue_id, f"grpc://{worker.address}") == 200
    assert send_task(queue_id, b'"once more"') == 200
    assert worker.take(1) == [(queue_id, b'"once more"')]
    assert len(attempts) == 2, attempts


for check in [
    queues_are_numbered_in_order,
    what_is_wrong_has_a_status,
    a_worker_registers_before_it_listens,
    the_same_worker_four_times_works_on_four_at_once,
    a_task_that_failed_comes_again,
]:
    begun = time.monotonic()
    check()
    print(f"{check.__name__}: {time.monotonic() - begun:.2f} s", flush=True)
print("all is well")
