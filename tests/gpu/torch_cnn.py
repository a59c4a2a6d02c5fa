"""The CNN of deploy/jobs/fashion_cnn.textproto in PyTorch: samples a second.

Forward and backward of one microbatch, gradients fetched to pinned memory, as
network_benchmark measures it. For tests/gpu/check.
"""

import statistics
import time

import torch
from torch import nn


def make_network():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
    ).cuda()


def samples_per_second(samples):
    network = make_network()
    loss_of = nn.CrossEntropyLoss()
    inputs = torch.randn(samples, 1, 28, 28).pin_memory()
    labels = torch.randint(10, (samples,)).pin_memory()
    gradients = [torch.empty(p.shape).pin_memory()
                 for p in network.parameters()]
    seconds = []
    for _ in range(220):
        start = time.perf_counter()
        network.zero_grad(set_to_none=True)
        loss = loss_of(network(inputs.cuda(non_blocking=True)),
                       labels.cuda(non_blocking=True))
        loss.backward()
        for to, parameter in zip(gradients, network.parameters()):
            to.copy_(parameter.grad, non_blocking=True)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return samples / statistics.median(seconds[20:])


def main():
    for tf32 in (False, True):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        for samples in (16, 128):
            print("PyTorch %s, TensorFloat-32 %s: train %5d samples  %8.0f "
                  "samples/s" % (torch.__version__, "on" if tf32 else "off",
                                 samples, samples_per_second(samples)))


if __name__ == "__main__":
    main()
