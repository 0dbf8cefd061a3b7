"""What every part of a policy file is read by: a pydantic model that takes no unknown field and converts no value."""

from pydantic import BaseModel, ConfigDict


class PolicyModel(BaseModel):
    """The base of all models of the file format: unknown fields are errors, and ``"1"`` is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
