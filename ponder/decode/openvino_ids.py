"""Token ids by openvino-genai for token ids, a line of JSON each way (ponder/decode/openvino.py).

    outputs/openvino-venv/bin/python -I ponder/decode/openvino_ids.py FOLDER SETTINGS

Imports nothing but openvino-genai and what it needs, for it runs in an environment of its own, -I
so that modules beside it are not taken for others. SETTINGS is a JSON object: what a pipeline of
the FOLDER is opened with. It says "ready", then answers requests {"id", "prompt", "limit", "stops",
"barred"} by {"id", "ids"} in the order in which they are done, until its input ends, as it does
where whoever asked is killed.
"""

import json
import os
import queue
import sys
import threading
from typing import Any

import numpy as np
import openvino
import openvino_genai


def opened(folder: str, settings: dict[str, Any]) -> openvino_genai.ContinuousBatchingPipeline:
    """Return the pipeline of a folder that optimum-cli wrote."""
    scheduler = openvino_genai.SchedulerConfig()
    for name, value in settings["scheduler"].items():
        setattr(scheduler, name, value)
    return openvino_genai.ContinuousBatchingPipeline(
        folder, scheduler, "CPU", settings["properties"]
    )


def config_of(request: dict[str, Any]) -> openvino_genai.GenerationConfig:
    """Return the generation config of a request: greedy, and ended by its stops and its limit.

    One of its stops stands as the end of text, else the model's own would be a stop too; and
    ignore_eos turns all stops off. A request with barred tokens is for one token: they are made its
    stops, which min_new_tokens keeps from being sampled.
    """
    config, ends = openvino_genai.GenerationConfig(), request["barred"] or request["stops"]
    config.do_sample = False
    config.max_new_tokens = request["limit"]
    config.min_new_tokens = int(bool(request["barred"]))
    config.ignore_eos = not ends
    if ends:
        config.stop_token_ids, config.eos_token_id = set(ends), ends[0]
    return config


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    pipeline = opened(sys.argv[1], json.loads(sys.argv[2]))
    lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
    running: dict[int, openvino_genai.GenerationHandle] = {}

    def read() -> None:
        try:
            for line in sys.stdin:
                lines.put(json.loads(line))
        finally:
            lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    print("ready", file=answers, flush=True)
    while True:
        while not running or not lines.empty():
            request = lines.get()
            if request is None:
                return
            ids = openvino.Tensor(np.array([request["prompt"]], dtype=np.int64))
            key = request["id"]
            running[key] = pipeline.add_request(key, ids, config_of(request))
        pipeline.step()
        for key, handle in list(running.items()):
            status = handle.get_status()
            if status == openvino_genai.GenerationStatus.RUNNING:
                continue
            if status != openvino_genai.GenerationStatus.FINISHED:
                print(f"a request ended as {status.name}", file=sys.stderr, flush=True)
                os._exit(1)  # the reader of requests would not let it end otherwise
            (output,) = running.pop(key).read_all()
            reply = {"id": key, "ids": list(output.generated_ids)}
            print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
