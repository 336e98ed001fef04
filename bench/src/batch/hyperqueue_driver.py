"""A server of HyperQueue with a worker, or a client of it, that obey lines on their stdin and answer each with one of JSON.

Server: `hyperqueue_driver.py server CORES`: the first answer is its directory; CORES 0 means that there is no worker.
Client: `hyperqueue_driver.py client DIRECTORY`, then lines:
    array N                  tasks a second of an array of `true`
    single PROGRAM OUT N     milliseconds from each of N submissions until PROGRAM looks at the clock
    hold N                   submits N tasks, and waits for none
"""

import json
import os
import sys
import time

ANSWERS = os.fdopen(os.dup(1), "w")
# What the library prints is not an answer.
os.dup2(2, 1)

from hyperqueue import Job, LocalCluster
from hyperqueue.client import Client
from hyperqueue.cluster import WorkerConfig
from hyperqueue.ffi.protocol import JobDescription, ResourceRequest, TaskDescription


def answer(value):
    ANSWERS.write(json.dumps(value) + "\n")
    ANSWERS.flush()


def serve(cores):
    cluster = LocalCluster()
    if cores:
        cluster.start_worker(WorkerConfig(cores=cores))
    answer(str(cluster.cluster.server_dir))
    sys.stdin.read()
    cluster.stop()


def submit(client, n):
    """The tasks as the library would make them, without its objects around them."""
    request = [ResourceRequest()]
    tasks = [
        TaskDescription(
            id=i, args=["true"], cwd=None, stdout=None, stderr=None, stdin=None, env={}, dependencies=[],
            task_dir=False, priority=0, resource_request=request, crash_limit=None,
        )
        for i in range(n)
    ]
    start = time.monotonic()
    job = client.connection.submit_job(JobDescription(name="array", tasks=tasks, max_fails=None))
    return job, start


def array(client, n):
    job, start = submit(client, n)
    seen = []

    def look(jobs):
        finished = sum(job["finished"] for job in jobs.values())
        seen.append((time.monotonic(), finished))

    failed = client.connection.wait_for_jobs([job], look)
    end = time.monotonic()
    if failed:
        raise SystemExit("tasks failed")
    # It looks once a second: the rate between the first look at which some have ended and the last at which some have not.
    seen = [(at, finished) for at, finished in seen if 0 < finished < n]
    if len(seen) >= 3:
        (first, before), (last, after) = seen[0], seen[-1]
        return (after - before) / (last - first)
    return n / (end - start)


def single(client, program, out, n):
    took = []
    for i in range(n + 1):
        path = os.path.join(out, f"stamp-{i}")
        job = Job(max_fails=None)
        job.program([program], stdout=path)
        start = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        submitted = client.submit(job)
        text = ""
        while not text.endswith("\n"):
            time.sleep(0.001)
            if os.path.exists(path):
                with open(path) as file:
                    text = file.read()
        took.append((int(text) - start) / 1e6)
    return took[1:]


def main():
    if sys.argv[1] == "server":
        serve(int(sys.argv[2]))
        return
    client = Client(sys.argv[2])
    for line in sys.stdin:
        what, *words = line.split()
        if what == "array":
            answer(array(client, int(words[0])))
        elif what == "single":
            answer(single(client, words[0], words[1], int(words[2])))
        elif what == "hold":
            submit(client, int(words[0]))
            answer(None)
        else:
            raise SystemExit(f"{line!r} is not known")


main()
