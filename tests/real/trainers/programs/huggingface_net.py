"""A tiny transformer by the Hugging Face Trainer, made here; `told` gets what its callbacks saw logged."""

import json
import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments, set_seed

told = Path(sys.argv[1])


class Witness(TrainerCallback):
    def __init__(self) -> None:
        self.logs: list[dict[str, float]] = []

    def on_log(self, args: object, state: object, control: object, logs: dict[str, float], **_: object) -> None:
        self.logs.append({**logs, "step": state.global_step})


class Words(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 32

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        words = torch.arange(place, place + 8) % 16
        return {"input_ids": words, "labels": words}


set_seed(7)
config = LlamaConfig(vocab_size=16, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
witness = Witness()
trainer = Trainer(
    model=LlamaForCausalLM(config),
    args=TrainingArguments(
        output_dir=str(told.parent / "checkpoints"), num_train_epochs=3, per_device_train_batch_size=4, logging_steps=4,
        eval_strategy="epoch", report_to=[], use_cpu=True, save_strategy="no", learning_rate=1e-2,
        disable_tqdm="quiet" in sys.argv[2:],
    ),
    train_dataset=Words(),
    eval_dataset=Words(),
    callbacks=[witness],
)  # fmt: skip
trainer.train()
trainer.evaluate()
told.write_text(json.dumps(witness.logs))
