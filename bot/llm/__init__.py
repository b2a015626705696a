"""The language model: prompt, history, streaming, sentences."""
