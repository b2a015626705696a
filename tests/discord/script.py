"""What the scripted model says at length; shared by the bot's process and the tests."""

CODE = "".join(f"    total += compute(value_{n})  # step {n}\n" for n in range(30))
PROSE = "A sentence that explains what the code does and why. " * 22
LONG_ANSWER = (
    f"{PROSE}\n\n```python\ndef first() -> None:\n{CODE}```\n\n{PROSE}\n\n"
    f"```rust\nfn second() {{\n{CODE}{CODE}{CODE}}}\n```\nThat is all."
)
