"""How soon the report of 900 pictures paints, how smoothly it scrolls, and how much it weighs, in a real chromium.

The page comes from `prescreen rank --report`. First paint is what the browser reports; long tasks are those of 50 ms or
more that its PerformanceObserver sees while the grid is scrolled from top to bottom, screen by screen, frame by frame.

    python benchmarks/report.py report.html [--runs 5] [--browser /usr/bin/chromium]
"""

import argparse
import shutil
import statistics
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

OBSERVE = """window.longTasks = [];
new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((e) => e.duration)))
  .observe({ type: "longtask", buffered: true });"""
SCROLL = """async () => {
  document.getElementById("all").scrollIntoView();
  await new Promise((done) => setTimeout(done, 500));
  window.longTasks.length = 0;
  const [gaps, end] = [[], () => scrollY + innerHeight >= document.documentElement.scrollHeight - 2];
  let last = performance.now();
  while (!end() && gaps.length < 3000) {
    scrollBy(0, 120);
    await new Promise(requestAnimationFrame);
    gaps.push(performance.now() - last);
    last = performance.now();
  }
  await new Promise((done) => setTimeout(done, 300));
  gaps.sort((a, b) => a - b);
  return { frames: gaps.length, median: gaps[gaps.length >> 1], p99: gaps[Math.floor(gaps.length * 0.99)],
    long: window.longTasks, shown: document.querySelectorAll("#grid img[src]").length };
}"""
ACT = """async (select) => {
  const before = performance.now();
  const sort = document.getElementById("sort");
  sort.value = select;
  sort.dispatchEvent(new Event("input", { bubbles: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - before;
}"""


def measure(browser: Browser, report: Path) -> dict[str, float]:
    page = browser.new_page(viewport={"width": 1360, "height": 900})
    page.add_init_script(OBSERVE)
    page.goto(report.resolve().as_uri())
    page.locator("#grid li").first.wait_for(state="attached")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    loading = page.evaluate("window.longTasks")
    page.locator("#check").select_option("scored")
    page.locator("#stacked").uncheck()
    scrolled = page.evaluate(SCROLL)
    sort = page.evaluate(ACT, "1")
    page.close()
    return {
        "first paint, ms": paint,
        "page ready, ms": ready,
        "long tasks while loading": len(loading),
        "longest of them, ms": max(loading, default=0),
        "long tasks while scrolling": len(scrolled["long"]),
        "frames while scrolling": scrolled["frames"],
        "median frame, ms": scrolled["median"],
        "99th percentile frame, ms": scrolled["p99"],
        "pictures shown": scrolled["shown"],
        "sorting, ms": sort,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--browser", default=shutil.which("chromium"))
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=given.browser, args=["--no-sandbox", "--disable-background-networking"]
        )
        runs = [measure(browser, given.report) for _ in range(given.runs)]
        version = browser.version
        browser.close()
    print(f"chromium {version}, {given.runs} runs; file {given.report.stat().st_size / 1e6:.1f} MB\n")
    print("| | median | worst |\n|---|--:|--:|")
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(f"| {name} | {statistics.median(values):.0f} | {max(values):.0f} |")


if __name__ == "__main__":
    main()
