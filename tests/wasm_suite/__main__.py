"""`python -m tests.wasm_suite FOLDER`: run a folder, or a ZIP archive, of .json and .wasm files made by wast2json."""

import sys
import zipfile
from pathlib import Path

from tests.wasm_suite.runner import SuiteRun, format_reports


def main() -> int:
    """The exit code: 1 if a case failed."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    path = Path(sys.argv[1])
    folder = zipfile.Path(path) if path.is_file() else path
    names = sorted(each.name.removesuffix(".json") for each in folder.iterdir() if each.name.endswith(".json"))
    reports = [SuiteRun(folder, name).run() for name in names]
    print(format_reports(reports))
    failures = [failure for report in reports for failure in report.failures]
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
