from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.valeriani2023.findings import geometry
from ffmem.studies.valeriani2023.scales import CHAPTER

(EXHIBIT,) = CHAPTER.exhibits


def test_every_scale_of_every_cloud_is_in_the_table(measured: Results) -> None:
    findings = findings_of(measured)
    found, (table,) = geometry(findings), list(EXHIBIT.tables(findings))
    assert len(table.rows) == sum(map(len, found.clouds.values()))
    first = next(row for row in table.rows if row["points"] == "o")
    assert (
        first["GRIDE, n = 1"] == found.clouds["o"][0].gride[0] and first["TwoNN, N / 1"] == found.clouds["o"][0].two_nn
    )
    assert EXHIBIT.reading(findings).startswith("There are 60 points, too few for more than one scale")
    for chart in EXHIBIT.charts(findings):
        assert chart.rows and {row["series"] for row in chart.rows} <= {one.layer for one in found.clouds["o"]}
