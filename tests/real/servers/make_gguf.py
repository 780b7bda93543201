"""Makes a tiny LLaMA as a GGUF file for tests: make_gguf.py FILE. Needs gguf and numpy.

Its weights are made by hand. All but the embeddings are zero, so each token decides the next one alone: a letter from a
to z is followed by the next (z by a), for ever; any other token begins the answer `OK.`, which ends there.
"""

import sys
from string import ascii_lowercase

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, CONTEXT = 64, 2, 2, 2048
SPECIAL = ("<unk>", "<s>", "</s>")
CHARACTERS = (*ascii_lowercase, "O", "K", ".", ":", "\u2581")
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}:"


def vocabulary() -> tuple[list[str], list[int]]:
    """Tokens and their types: control tokens, all bytes, and single characters."""
    kind = gguf.TokenType
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *CHARACTERS]
    return tokens, [kind.UNKNOWN, kind.CONTROL, kind.CONTROL, *[kind.BYTE] * 256, *[kind.NORMAL] * len(CHARACTERS)]


def follower(token: str) -> str:
    """The token that comes after another."""
    if token in ascii_lowercase:
        return ascii_lowercase[(ascii_lowercase.index(token) + 1) % 26]
    return {"O": "K", "K": ".", ".": "</s>"}.get(token, "O")


def weights(tokens: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings in which tokens with another follower are another direction, and the output that reads them back."""
    directions = {name: place for place, name in enumerate(dict.fromkeys(map(follower, tokens)))}
    embedding = np.zeros((len(tokens), WIDTH), np.float32)
    output = np.zeros((len(tokens), WIDTH), np.float32)
    for place, token in enumerate(tokens):
        embedding[place, directions[follower(token)]] = 1
        if token in directions:
            output[place, directions[token]] = 4
    return embedding, output


def main(path: str) -> None:
    """Write the file."""
    tokens, types = vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_chat_template(TEMPLATE)
    embedding, output = weights(tokens)
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.zeros((WIDTH, WIDTH), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
