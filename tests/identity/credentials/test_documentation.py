import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "credentials.md"


def test_the_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    scope = {}
    exec(compile(example, str(PAGE), "exec"), scope)
    assert scope["credential"].claims["classes"] == ["AM", "B"]
