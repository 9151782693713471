"""What tests of contracts expect."""

import pytest

from iov import RevertError


def refused(code: int) -> pytest.RaisesExc[RevertError]:
    """The contract fails with this code."""
    return pytest.raises(RevertError, match=f"^{code}$")
