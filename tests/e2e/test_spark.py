"""The model as a function of Spark, which weighs 0.5 GB and is no dependency: this runs where it is installed."""

import base64
import os
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
NAMES = ["001.jpg", "007.jpg", "027.jpg"]


@pytest.fixture(scope="module")
def spark():
    sql = pytest.importorskip("pyspark.sql", reason="needs Spark: pip install pyspark")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java 17 or newer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
        session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
        yield session
        session.stop()


@pytest.mark.filterwarnings("ignore")  # Spark and MLflow warn about versions of each other
def test_a_column_of_pictures_becomes_a_column_of_scores(spark, demo, monkeypatch):
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, "true")
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{demo}/mlruns/mlflow.db")
    rows = [(name, base64.b64encode((SAMPLE / "candidates" / name).read_bytes()).decode()) for name in NAMES]
    pictures = spark.createDataFrame(rows, ["name", "image"])
    score = mlflow.pyfunc.spark_udf(spark, "models:/prescreen@champion", env_manager="local")
    scored = pictures.select("name", score("image").alias("scores"))
    found = scored.select("name", "scores.status", "scores.reason", "scores.influence").collect()
    expected = pd.read_csv(demo / "scores.csv").set_index("image")
    assert [row.name for row in found] == NAMES
    assert [row.status for row in found] == ["ok", "failed", "ok"]
    assert (found[1].influence, found[1].reason) == (None, expected.loc["007.jpg", "reason"])
    for row in (found[0], found[2]):
        assert row.influence == pytest.approx(expected.loc[row.name, "influence"], abs=1e-3)
