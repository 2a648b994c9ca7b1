#!/usr/bin/env python3
"""Jobs that do nothing through Celery on Redis: peer_celery.py REDIS-URL [JOBS]

Sent, run by a worker of two processes, answered in the result back end."""
import json
import subprocess
import sys
import time

from celery import Celery, group

url = sys.argv[1]
jobs = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
app = Celery("peer_celery", broker=url, backend=url)
app.conf.update(worker_prefetch_multiplier=64, task_acks_late=True)


@app.task
def noop(x):
    return x


def main():
    worker = subprocess.Popen(
        [sys.executable, "-c",
         "import sys; sys.argv[1:] = [%r]; import peer_celery as p; "
         "p.app.worker_main(['worker', '-c', '2', '-l', 'ERROR', '--without-gossip', "
         "'--without-mingle', '--without-heartbeat'])" % url],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        noop.delay(0).get(timeout=60)
        began = time.monotonic()
        group(noop.s(i) for i in range(jobs))().get(timeout=600)
        seconds = time.monotonic() - began
    finally:
        worker.terminate()
        worker.wait()
    print(json.dumps({"name": "peers.celery.redis", "value": round(jobs / seconds, 1),
                      "unit": "jobs/s", "ratio": None, "against": None}))


if __name__ == "__main__":
    main()
