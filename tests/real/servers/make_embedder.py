"""Makes a tiny BERT with random weights: make_embedder.py embed|rerank FOLDER. Needs transformers and torch."""

import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!"


def main() -> None:
    """Write tokenizer, weights and config."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join((*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS))) + "\n")
    tokenizer = BertTokenizerFast(str(vocabulary), model_max_length=64)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=1,
    )
    model = BertModel(config) if kind == "embed" else BertForSequenceClassification(config)
    model.save_pretrained(folder)


if __name__ == "__main__":
    main()
