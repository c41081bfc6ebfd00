"""What a comparison prints, and the JSON it leaves."""

GIB = 1 << 30
NAMES = {"rate": "speed", "peak_rss_bytes": "peak memory"}


def race_text(race):
    rounds = max((len(entry.results) for entry in race.entries), default=0)
    lines = ["", f"{race.title}: {race.unit}, median of {rounds} round{'s' * (rounds != 1)}"]
    for entry in race.entries:
        lines.append("  " + entry_text(entry))
    for ratio in race.ratios():
        lines.append("  " + ratio_text(ratio))
    for check in race.checks:
        lines.append(f"  {'same' if check['good'] else 'DIFFERENT'}: {check['what']}: {check['value']:.6g} and "
                     f"{check['expected']:.6g}, {check['tolerance']:g} allowed")
    return "\n".join(lines + [f"  {note}" for note in race.notes])


def entry_text(entry):
    if not entry.results:
        return f"{entry.name:<46} {'no result: ' + entry.failure if entry.failure else 'not run'}"
    rates = [result["rate"] for result in entry.results]
    text = (f"{entry.name:<46} {entry.median('rate'):9.1f}  ({min(rates):.1f} to {max(rates):.1f})  "
            f"{entry.median('peak_rss_bytes') / GIB:6.2f} GiB")
    if "model_flops_utilization" in entry.results[0]:
        text += f"  {100 * entry.median('model_flops_utilization'):.0f} % of the matmul peak"
    return text


def ratio_text(ratio):
    text = (f"{NAMES[ratio['of']]}, {ratio['ours']} / {ratio['theirs']}: {ratio['median']:.2f} "
            f"({ratio['min']:.2f} to {ratio['max']:.2f})")
    if ratio["bar"] is not None:
        text += f"  (bar {ratio['bar']:.2f}: {'reached' if ratio['reached'] else 'missed'})"
    return text


def race_json(race):
    return {
        "race": race.key,
        "title": race.title,
        "unit": race.unit,
        "settings": race.settings,
        "ratios": list(race.ratios()),
        "checks": race.checks,
        "notes": race.notes,
        "contestants": [
            {
                "name": entry.name,
                "failure": entry.failure,
                "median_rate": entry.median("rate"),
                "median_peak_rss_bytes": entry.median("peak_rss_bytes"),
                "runs": entry.results,
            }
            for entry in race.entries
        ],
    }
