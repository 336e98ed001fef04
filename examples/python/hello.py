"""Submits a job to a Proffer cluster, waits for it, prints what it wrote, and exits 0 if it finished.

    hello.py [COMMAND [ARGS..]]        PROFFER_MASTER=host:port (127.0.0.1:5050)

The stubs it imports are generated from the repository's protos; run.sh does that.
"""

import os
import sys
import uuid

import grpc
from proffer.v1 import agent_pb2, agent_pb2_grpc, common_pb2, container_pb2
from proffer.v1 import jobs_pb2, jobs_pb2_grpc, operator_pb2, operator_pb2_grpc

MASTER = os.environ.get("PROFFER_MASTER", "127.0.0.1:5050")
GREETING = ["/bin/sh", "-c", 'echo "hello from python, task $PROFFER_TASK_INDEX"']


def scalar(name, value):
    return common_pb2.Resource(name=name, scalar=value)


def job_spec(command):
    """Three tasks of the same command, each with a tenth of a core and 32 MiB."""
    task = jobs_pb2.JobTask(
        name="hello",
        count=3,
        resources=common_pb2.Resources(items=[scalar("cpus", 0.1), scalar("mem", 32 << 20)]),
        container=container_pb2.ContainerSpec(command=command),
    )
    return jobs_pb2.JobSpec(name=f"python-{uuid.uuid4().hex[:8]}", tasks=[task])


def wait(jobs, name):
    """Follows the job until it has ended; every master forwards the batch framework's service."""
    job = None
    for job in jobs.WatchJob(jobs_pb2.GetJobRequest(name=name)):
        print(f"{name}: {jobs_pb2.JobState.Name(job.state)}", file=sys.stderr)
    return job


def stdout(operator, framework_id, task_id):
    """Reads a task's output from the agent it ran on, chunk by chunk."""
    request = operator_pb2.ListTasksRequest(framework_id=framework_id, task_id=task_id, include_completed=True)
    (task,) = operator.ListTasks(request).tasks
    with grpc.insecure_channel(task.agent_address) as channel:
        request = agent_pb2.ReadLogRequest(
            framework_id=framework_id, task_id=task_id, stream=agent_pb2.LOG_STREAM_STDOUT, follow=True
        )
        for chunk in agent_pb2_grpc.AgentStub(channel).ReadLog(request):
            yield chunk.data


def run(command):
    with grpc.insecure_channel(MASTER) as channel:
        jobs = jobs_pb2_grpc.JobsStub(channel)
        operator = operator_pb2_grpc.OperatorStub(channel)
        name = jobs.SubmitJob(jobs_pb2.SubmitJobRequest(spec=job_spec(command))).name
        job = wait(jobs, name)
        for task in job.tasks:
            if task.task_id:
                for data in stdout(operator, job.framework_id, task.task_id):
                    sys.stdout.buffer.write(data)
            if task.state != jobs_pb2.JOB_TASK_FINISHED:
                state = common_pb2.TaskState.Name(task.status.state)
                print(f"{task.name}.{task.index}: {state}: {task.status.message}", file=sys.stderr)
        return 0 if job.state == jobs_pb2.JOB_FINISHED else 1


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:] or GREETING))
    except grpc.RpcError as error:
        sys.exit(f"{MASTER}: {error.code().name}: {error.details()}")
