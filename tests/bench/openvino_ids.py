"""Token ids by openvino-genai for token ids, a line of JSON each way; run by evaluate_peers.py.

    outputs/openvino-venv/bin/python tests/bench/openvino_ids.py FOLDER REQUESTS_AT_ONCE THREADS

Imports nothing but openvino-genai and what it needs, for it runs in an environment of its own. All
is float32: a CPU with AMX would multiply in bfloat16, and keys and values would be kept in 8 bits
(openvino.properties.hint, inference_precision and kv_cache_precision).
"""

import json
import queue
import sys
import threading

import numpy as np
import openvino
import openvino_genai


def opened(folder, requests, threads):
    """Return the pipeline of a folder that optimum-cli wrote."""
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.max_num_seqs = requests
    scheduler.max_num_batched_tokens = 2048
    scheduler.cache_size = 2
    scheduler.enable_prefix_caching = True
    properties = {
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    return openvino_genai.ContinuousBatchingPipeline(folder, scheduler, "CPU", properties)


def config_of(request):
    """Return the generation config of a request: greedy, and ended by its stops and its limit.

    With stops the model's own ends may end it too: ignore_eos would turn the stops off as well.
    """
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = request["limit"]
    config.stop_token_ids = set(request["stops"])
    config.ignore_eos = not request["stops"]
    config.do_sample = False
    return config


def main():
    """Answer until the input ends."""
    folder, requests, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    pipeline, lines, running = opened(folder, requests, threads), queue.Queue(), {}

    def read():
        try:
            for line in sys.stdin:
                lines.put(json.loads(line))
        finally:
            lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    print("ready", flush=True)
    number = 0
    while True:
        while not running or not lines.empty():
            request = lines.get()
            if request is None:
                return
            ids = openvino.Tensor(np.array([request["prompt"]], dtype=np.int64))
            handle = pipeline.add_request(number, ids, config_of(request))
            running[request["id"]], number = handle, number + 1
        pipeline.step()
        for name, handle in list(running.items()):
            status = handle.get_status()
            if status == openvino_genai.GenerationStatus.RUNNING:
                continue
            if status != openvino_genai.GenerationStatus.FINISHED:
                raise SystemExit(f"a request ended as {status.name}")
            (output,) = running.pop(name).read_all()
            print(json.dumps({"id": name, "ids": list(output.generated_ids)}), flush=True)


if __name__ == "__main__":
    main()
