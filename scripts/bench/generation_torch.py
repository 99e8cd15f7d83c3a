"""A decoder of GPT-2's small shape with random weights: `make FOLDER` writes it with a byte tokenizer, `run FOLDER` times PyTorch, one line of JSON."""
import argparse, json, statistics, time

import torch
from transformers import GPT2Config, GPT2LMHeadModel

parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["make", "run"])
parser.add_argument("folder")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--tokens", type=int, default=128)
options = parser.parse_args()
torch.set_num_threads(options.threads)

if options.what == "make":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config()).eval().save_pretrained(options.folder, safe_serialization=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(["abc"], trainers.BpeTrainer(vocab_size=256, initial_alphabet=letters))
    tokenizer.save(options.folder + "/tokenizer.json")
else:
    model = GPT2LMHeadModel.from_pretrained(options.folder).eval()
    ids = torch.tensor([[index * 37 % 256 for index in range(128)]])
    prefill, decode = [], []
    with torch.inference_mode():
        for _ in range(3):
            start = time.perf_counter()
            out = model(ids, use_cache=True, logits_to_keep=1)
            prefill.append(time.perf_counter() - start)
            start = time.perf_counter()
            for _ in range(options.tokens - 1):
                token = out.logits[:, -1:].argmax(-1)
                out = model(token, past_key_values=out.past_key_values, use_cache=True)
            decode.append((options.tokens - 1) / (time.perf_counter() - start))
    print(json.dumps({"prefillSeconds": statistics.median(prefill), "tokensPerSecond": statistics.median(decode)}))
