"""The same job on Spark gives the same bytes; without Spark this is skipped and says so (docs/dependencies.md)."""

import os
import shutil
from importlib.util import find_spec

import pytest

from economy.distribution_build import BuildOptions, build_distribution, recompute_shard
from economy.distribution_manifest import UnusableError
from economy.duckdb_connection import EngineLimits
from ledger.primitives import INTEGER_MAX
from tests.distribution_scene import distribute
from tests.economy.records import beneficiary, draw_rows, key_of, write_records
from tests.economy.test_distribution_build import ODD_NAMES

REQUIRE_VARIABLE = "CARLIVE_REQUIRE_SPARK"
IS_THERE = find_spec("pyspark") is not None and shutil.which("java") is not None

pytestmark = [
    # A machine of a newcomer; .ci/run sets the variable, and there it fails instead.
    pytest.mark.skipif(not IS_THERE and REQUIRE_VARIABLE not in os.environ, reason="needs PySpark and Java"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Spark's gateway leaves its pipes to the collector
    pytest.mark.xdist_group("spark"),
]
DUCKDB, SPARK = (BuildOptions(name, EngineLimits(memory_mb=1_000)) for name in ("duckdb", "spark"))


def build(records, previous, directory, options):
    return build_distribution(records, previous, directory, options, lambda *_: None)


def test_spark_builds_the_same_manifest_over_two_epochs_and_recomputes_its_shards(tmp_path):
    first, second = (write_records(tmp_path / name, draw_rows(name, 300, 900)) for name in ("first", "second"))
    for options in (DUCKDB, SPARK):
        home = tmp_path / options.engine
        build([first], None, home / "1", options)
        build([second], home / "1", home / "2", options)
    for epoch in "12":
        manifests = [(tmp_path / engine / epoch / "manifest.json").read_bytes() for engine in ("duckdb", "spark")]
        assert manifests[0] == manifests[1]
    manifest, _ = build([second], tmp_path / "spark" / "1", tmp_path / "spark" / "2", SPARK)
    recomputed = recompute_shard([second], tmp_path / "duckdb" / "1", tmp_path / "duckdb" / "2", 9, SPARK)
    assert recomputed == manifest.shards[9]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_of_files_and_directories_change_nothing_for_spark(name, tmp_path):
    write_records(tmp_path / "day-2.parquet", [(beneficiary(3), 100)])
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    built, _ = build([write_records(path, [(beneficiary(4), 7)])], None, tmp_path / "[out]", SPARK)
    assert built.root == distribute({key_of(beneficiary(4)): 7}).root


def test_a_file_that_spark_does_not_see_is_refused(tmp_path):
    records = write_records(tmp_path / "_day.parquet", [(beneficiary(0), 1)])
    with pytest.raises(UnusableError, match="Spark reads no files"):
        build([records], None, tmp_path / "out", SPARK)


def test_spark_sees_totals_that_do_not_fit(tmp_path):
    records = write_records(tmp_path / "records", [(beneficiary(0), INTEGER_MAX)] * 20)
    with pytest.raises(UnusableError, match="more than there can be"):
        build([records], None, tmp_path / "out", SPARK)
