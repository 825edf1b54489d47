"""What every group of settings is."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Settings that cannot be changed, and that refuse names which do not exist."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
