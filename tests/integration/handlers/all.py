#!/usr/bin/env python3
"""A handler for the tests: does what the payload says."""
import json, os, signal, sys, time


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


for text in sys.stdin:
    job = json.loads(text)
    if job["type"] != "job":
        continue
    p, id = job["payload"], job["id"]
    if "mark" in p:
        with open(p["mark"], "a") as f:
            f.write(f"{id} {job['attempt']} {job['epoch']} {os.getpid()}\n")
    if "progress" in p:
        say(type="progress", id=id, percent=p["progress"], text="малюю")
    for line in p.get("log", []):
        say(type="log", id=id, text=line)
    if "stderr" in p:
        print(p["stderr"], file=sys.stderr, flush=True)
    if "child" in p:  # a process that outlives us unless it is killed with us
        if os.fork() == 0:
            with open(p["child"], "w") as f:
                f.write(str(os.getpid()))
            time.sleep(600)
    if "sleep" in p:
        time.sleep(p["sleep"])
    while "hold" in p and not os.path.exists(p["hold"]):
        time.sleep(0.02)
    if "wait_cancel" in p:
        line = json.loads(sys.stdin.readline())
        if line["type"] == "cancel":
            with open(p["wait_cancel"], "w") as f:
                f.write("cancelled")
        say(type="end", id=id, outcome="retry", error="gave up")
        continue
    if "memory" in p:
        hog = bytearray(p["memory"] << 20)
        for i in range(0, len(hog), 4096):
            hog[i] = 1
    if "burn" in p:
        while True:
            pass
    if "signal" in p:
        os.kill(os.getpid(), p["signal"])
    if "exit" in p:
        sys.exit(p["exit"])
    if "garbage" in p:
        sys.stdout.write(p["garbage"] * p.get("times", 1))
        sys.stdout.flush()
        time.sleep(600)
    end = p.get("end", {"outcome": "done"})
    say(type="end", id=id, **end)
