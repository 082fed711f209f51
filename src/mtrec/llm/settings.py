"""Settings of the text embedding; importing this loads no TensorFlow."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EmbedSettings(BaseModel):
    """``task_embedding`` of ``params.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = Field("smollm2-135m", description="that GGUF file, or any KerasHub preset")
    layer: int = Field(
        16, ge=1, description="hidden layer whose states are pooled, 1 = first block"
    )
    pooling: Literal["mean", "last"] = Field("mean", description="over the tokens of a text")
    precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="of the language model's weights and states"
    )
    batch_tokens: int = Field(4096, ge=64, description="tokens per forward pass, padding included")
    max_tokens: int = Field(64, ge=4, le=2048, description="longer texts are cut")
    components: int = Field(64, ge=2, description="principal components kept, whitened")
