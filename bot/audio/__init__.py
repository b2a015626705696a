"""Sound in and out: PCM maths, microphone, loudspeaker. No models, no Discord."""
