"""A client that knows nothing of Tessera but its .proto files.

It generates its code from them, trains a linear regression against two real
servers over all four methods of ParameterService, and compares every version,
bit by bit, with the same training written down in a straight line.
"""

import glob
import os
import queue
import random
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import grpc

SCRATCH = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))


def generate_code():
    """Python modules from the .proto files alone, into the scratch folder."""
    protos = sorted(glob.glob("proto/tessera/v1/*.proto"))
    subprocess.run(
        ["protoc", "-I", "proto", "--python_out=" + SCRATCH,
         "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
         "--grpc_python_out=" + SCRATCH] + protos, check=True)
    sys.path.insert(0, SCRATCH)


generate_code()
# pylint: disable=wrong-import-position
from tessera.v1 import admin_pb2, admin_pb2_grpc
from tessera.v1 import coordinator_pb2, coordinator_pb2_grpc
from tessera.v1 import encoding_pb2
from tessera.v1 import parameter_pb2 as pb
from tessera.v1 import parameter_pb2_grpc

SHARDS = 2
MICROBATCHES = 4
SAMPLES = 4  # In a microbatch.
FEATURES = 100
ELEMENTS = FEATURES + 1  # The weights, then the bias.
BLOCK_ELEMENTS = 16
BLOCKS = -(-ELEMENTS // BLOCK_ELEMENTS)
RATE = 0.05
STEPS = 60
TIMEOUT_S = 60

JOB = f"""
name: "python"
data_set {{ generated_linear {{
  features: {FEATURES} train_examples: 64 test_examples: 16 }} }}
model {{ layers {{ dense {{}} }} loss: LOSS_MEAN_SQUARED_ERROR }}
batch_size: {MICROBATCHES * SAMPLES}
microbatches: {MICROBATCHES}
block_bytes: {4 * BLOCK_ELEMENTS}
optimizer {{ sgd {{}} }}
learning_rate {{ base: {RATE} }}
stop {{ steps: {STEPS} }}
"""


def f32(x):
    """x, rounded to float32. Of a sum, product or quotient of two float32
    values, computed in double precision, it is what float32 would give."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


def pack(values):
    return struct.pack(f"<{len(values)}f", *values)


def unpack(payload):
    return list(struct.unpack(f"<{len(payload) // 4}f", payload))


def add(a, b):
    return [f32(x + y) for x, y in zip(a, b)]


def block_of(values, block):
    return values[block * BLOCK_ELEMENTS:(block + 1) * BLOCK_ELEMENTS]


class Data:
    """Samples of y = w x + b, a pure function of (step, microbatch)."""

    def __init__(self):
        rng = random.Random(17)
        self.true = [rng.uniform(-1, 1) for _ in range(ELEMENTS)]

    def microbatch(self, step, number):
        rng = random.Random(step * 1000 + number)
        for _ in range(SAMPLES):
            x = [rng.gauss(0, 1) for _ in range(FEATURES)] + [1.0]
            yield x, sum(w * v for w, v in zip(self.true, x))

    def gradient(self, params, step, number):
        """The mean loss over a microbatch, and its gradient in float32."""
        loss, gradient = 0.0, [0.0] * ELEMENTS
        for x, y in self.microbatch(step, number):
            error = sum(w * v for w, v in zip(params, x)) - y
            loss += error * error / SAMPLES
            for i, v in enumerate(x):
                gradient[i] += 2 * error * v / SAMPLES
        return loss, [f32(g) for g in gradient]


def reference_step(params, gradients):
    """theta <- theta - rate * (sum / M), summed along the reduction tree."""
    total = add(add(gradients[0], gradients[1]),
                add(gradients[2], gradients[3]))
    rate = f32(RATE)
    return [f32(x - f32(rate * f32(g / MICROBATCHES)))
            for x, g in zip(params, total)]


class Stream:
    """A PushPullStream, and its answers by request_id."""

    def __init__(self, stub):
        self.requests = queue.Queue()
        self.answers = stub.PushPullStream(iter(self.requests.get, None),
                                           timeout=TIMEOUT_S)
        self.early = {}

    def send(self, request):
        self.requests.put(request)

    def answer(self, request_id):
        while request_id not in self.early:
            answer = next(self.answers)
            self.early[answer.request_id] = answer
        return self.early.pop(request_id)

    def close(self):
        self.requests.put(None)
        return list(self.answers)


class Server:
    """One shard's process."""

    def __init__(self, job_file, shard):
        port_file = f"{job_file}.{shard}.address"
        self.log = open(f"{job_file}.{shard}.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            ["server/tessera_server", "--job=" + job_file, f"--shard={shard}",
             f"--shard_count={SHARDS}", "--norecover", "--listen=127.0.0.1:0",
             "--port_file=" + port_file],
            stdout=self.log, stderr=subprocess.STDOUT)
        # Another program's file offers nothing to wait on.
        while not os.path.exists(port_file):
            if self.process.poll() is not None:
                self.log.seek(0)
                raise RuntimeError("the server ended: " + self.log.read())
            time.sleep(0.01)
        with open(port_file, encoding="utf-8") as file:
            self.channel = grpc.insecure_channel(file.read().strip())
        self.stub = parameter_pb2_grpc.ParameterServiceStub(self.channel)

    def stop(self):
        self.channel.close()
        self.process.terminate()
        status = self.process.wait(TIMEOUT_S)
        self.log.close()
        return status


class PythonClientTest(unittest.TestCase):
    """Two fresh servers for each test."""

    def setUp(self):
        folder = tempfile.mkdtemp(dir=SCRATCH)
        job, resolved = folder + "/job", folder + "/resolved"
        with open(job, "w", encoding="utf-8") as file:
            file.write(JOB)
        subprocess.run(["deploy/tessera_launch", "--job=" + job,
                        "--resolve_only=" + resolved], check=True)
        self.servers = []
        self.addCleanup(self.stop_servers)
        for shard in range(SHARDS):
            self.servers.append(Server(resolved, shard))
        self.joined = coordinator_pb2_grpc.CoordinatorServiceStub(
            self.servers[0].channel).Join(
                coordinator_pb2.JoinRequest(label="python"), timeout=TIMEOUT_S)
        self.shard_of = {}
        for shard, server in enumerate(self.servers):
            info = admin_pb2_grpc.AdminServiceStub(
                server.channel).GetServerInfo(
                    admin_pb2.GetServerInfoRequest(), timeout=TIMEOUT_S)
            for block in range(info.first_block, info.last_block):
                self.shard_of[block] = shard
        self.last_id = 0

    def stop_servers(self):
        statuses = [server.stop() for server in self.servers]
        self.assertEqual(statuses, [0] * len(statuses))

    def stub(self, block):
        return self.servers[self.shard_of[block]].stub

    def request(self, kind, block, step, begin, end, gradient, loss=0.0):
        """A PushRequest or PushPullRequest for a block of a flat gradient."""
        self.last_id += 1
        return kind(job_fingerprint=self.joined.job_fingerprint,
                    shard=self.shard_of[block], block=block, step=step,
                    microbatch_begin=begin, microbatch_end=end,
                    worker_id=self.joined.worker_id, loss_sum=loss,
                    request_id=self.last_id,
                    encoding=encoding_pb2.ENCODING_FLOAT32,
                    payload=pack(block_of(gradient, block)))

    def pull(self, block, version):
        answer = self.stub(block).Pull(
            pb.PullRequest(job_fingerprint=self.joined.job_fingerprint,
                           shard=self.shard_of[block], block=block,
                           version=version,
                           encoding=encoding_pb2.ENCODING_FLOAT32),
            timeout=TIMEOUT_S)
        self.assertEqual((answer.block, answer.version), (block, version))
        return unpack(answer.payload)

    def pull_all(self, version):
        return sum((self.pull(block, version) for block in range(BLOCKS)), [])

    def assert_code(self, code, call, *words):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual(caught.exception.code(), code)
        for word in words:
            self.assertIn(word, caught.exception.details())

    def train_block(self, step, block, gradients, losses, streams):
        """One step of one block: a Push, a PushPull and a stream share the
        microbatches, in an order that changes. Returns the new values, which
        each of them, but the Push, answers with."""
        stub, stream = self.stub(block), streams[self.shard_of[block]]
        loss = losses if block == 0 else [0.0] * MICROBATCHES
        push = self.request(pb.PushRequest, block, step, 0, 1, gradients[0],
                            loss[0])
        both = self.request(pb.PushPullRequest, block, step, 1, 2,
                            gradients[1], loss[1])
        # The others' sum: a node of the tree.
        streamed = self.request(pb.PushPullRequest, block, step, 2, 4,
                                add(gradients[2], gradients[3]),
                                loss[2] + loss[3])
        outcome, future = {}, None
        for turn in range(3):
            kind = (turn + step + block) % 3
            if kind == 0:
                outcome["push"] = stub.Push(push, timeout=TIMEOUT_S).outcome
            elif kind == 1:
                future = stub.PushPull.future(both, timeout=TIMEOUT_S)
            else:
                stream.send(streamed)
        by_call, by_stream = future.result(), stream.answer(streamed.request_id)
        outcome["call"], outcome["stream"] = by_call.outcome, by_stream.outcome
        # Whichever came last at the server completed the step.
        self.assertEqual(sorted(outcome.values()),
                         [pb.PUSH_OUTCOME_ADDED, pb.PUSH_OUTCOME_ADDED,
                          pb.PUSH_OUTCOME_COMPLETED])
        self.assertEqual(by_call.request_id, both.request_id)
        self.assertEqual((by_call.block, by_call.version), (block, step + 1))
        self.assertEqual(by_call.payload, by_stream.payload)
        self.assertEqual(self.pull(block, step + 1), unpack(by_call.payload))
        return unpack(by_call.payload)

    def test_training_gives_the_bits_of_the_formula(self):
        data = Data()
        streams = [Stream(server.stub) for server in self.servers]
        expected = self.pull_all(0)
        self.assertEqual(len(expected), ELEMENTS)
        params, first_loss, loss = list(expected), None, None
        for step in range(STEPS):
            passes = [data.gradient(params, step, m)
                      for m in range(MICROBATCHES)]
            losses = [p[0] for p in passes]
            loss = sum(losses) / MICROBATCHES
            first_loss = first_loss or loss
            params = sum((self.train_block(step, block, [p[1] for p in passes],
                                           losses, streams)
                          for block in range(BLOCKS)), [])
            expected = reference_step(
                expected, [data.gradient(expected, step, m)[1]
                           for m in range(MICROBATCHES)])
            self.assertEqual(params, expected, f"after step {step}")
        self.assertLess(loss, first_loss / 5)
        for stream in streams:
            self.assertEqual(stream.close(), [])

    def test_repeats_add_nothing(self):
        gradient = [1.0] * ELEMENTS
        stub = self.stub(0)
        push = self.request(pb.PushRequest, 0, 0, 0, 2, gradient)
        self.assertEqual(stub.Push(push, timeout=TIMEOUT_S).outcome,
                         pb.PUSH_OUTCOME_ADDED)
        inside = self.request(pb.PushRequest, 0, 0, 1, 2, gradient)
        for repeat in (push, inside):
            answer = stub.Push(repeat, timeout=TIMEOUT_S)
            self.assertEqual(answer.outcome, pb.PUSH_OUTCOME_DUPLICATE)
            self.assertEqual(answer.version, 0)
        rest = self.request(pb.PushPullRequest, 0, 0, 2, 4, gradient)
        done = stub.PushPull(rest, timeout=TIMEOUT_S)
        self.assertEqual(done.outcome, pb.PUSH_OUTCOME_COMPLETED)
        # A step that is over: counted already, and answered all the same.
        again = stub.PushPull(rest, timeout=TIMEOUT_S)
        self.assertEqual(again.outcome, pb.PUSH_OUTCOME_DUPLICATE)
        self.assertEqual(again.payload, done.payload)

    def refusals(self, kind):
        """(code, a request that gets it, what its message says)."""
        code = grpc.StatusCode
        gradient = [0.5] * ELEMENTS

        def request(block=0, step=0, begin=0, end=1, **fields):
            made = self.request(kind, block, step, begin, end, gradient)
            for name, value in fields.items():
                setattr(made, name, value)
            return made

        nan = pack([float("nan")] * BLOCK_ELEMENTS)
        return [
            (code.INVALID_ARGUMENT, request(payload=b"\0" * 60), "60"),
            (code.INVALID_ARGUMENT, request(payload=b""), "0"),
            (code.INVALID_ARGUMENT, request(payload=nan), "nan"),
            (code.INVALID_ARGUMENT, request(shard=1), "shard 1"),
            (code.INVALID_ARGUMENT, request(block=BLOCKS - 1, shard=0),
             f"block {BLOCKS - 1}"),
            (code.INVALID_ARGUMENT, request(begin=1, end=3), "[1, 3)"),
            (code.INVALID_ARGUMENT, request(encoding=99), "encoding"),
            (code.INVALID_ARGUMENT, request(step=-1), "step -1"),
            (code.OUT_OF_RANGE, request(step=1), "step 1"),
            (code.FAILED_PRECONDITION, request(job_fingerprint=1),
             "fingerprint"),
        ]

    def test_bad_requests_are_refused_with_the_documented_codes(self):
        before = self.pull_all(0)
        stub = self.servers[0].stub
        for kind, method in ((pb.PushRequest, stub.Push),
                             (pb.PushPullRequest, stub.PushPull)):
            for code, request, words in self.refusals(kind):
                with self.subTest(kind=kind.__name__, words=words):
                    self.assert_code(
                        code, lambda: method(request, timeout=TIMEOUT_S), words)
        self.assert_code(grpc.StatusCode.OUT_OF_RANGE, lambda: self.pull(0, 2),
                         "version 2")
        self.assert_code(grpc.StatusCode.INVALID_ARGUMENT,
                         lambda: self.pull(0, -2), "version -2")
        # And nothing of it counted.
        self.assertEqual(self.pull_all(0), before)
        good = self.request(pb.PushRequest, 0, 0, 0, 4, [0.5] * ELEMENTS)
        self.assertEqual(stub.Push(good, timeout=TIMEOUT_S).outcome,
                         pb.PUSH_OUTCOME_COMPLETED)

    def test_a_refusal_leaves_a_stream_open(self):
        stream = Stream(self.servers[0].stub)
        for code, request, words in self.refusals(pb.PushPullRequest):
            with self.subTest(words=words):
                stream.send(request)
                answer = stream.answer(request.request_id)
                self.assertEqual(answer.error.code, code.value[0])
                self.assertIn(words, answer.error.message)
                self.assertEqual(answer.payload, b"")
        good = self.request(pb.PushPullRequest, 0, 0, 0, 4, [0.5] * ELEMENTS)
        stream.send(good)
        answer = stream.answer(good.request_id)
        self.assertEqual(answer.outcome, pb.PUSH_OUTCOME_COMPLETED)
        self.assertFalse(answer.HasField("error"))
        self.assertEqual(unpack(answer.payload), self.pull(0, 1))
        self.assertEqual(stream.close(), [])


def main():
    """Runs the tests; the last line is as Catch2's, which tests/run counts."""
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(PythonClientTest)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = len({test.id().split(" ")[0]
                  for test, _ in result.failures + result.errors})
    sys.stderr.flush()
    if failed == 0:
        print(f"All tests passed in {result.testsRun} test cases")
    else:
        print(f"test cases: {result.testsRun} | "
              f"{result.testsRun - failed} passed | {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
