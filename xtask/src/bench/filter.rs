//! What a filter costs: each call under it, making it, loading it. `cargo xtask bench --filter`.

use std::process::Command;

use serde_json::{Value, json};

use super::load;
use super::statistics::{median, paired_ratio, quantile};
use crate::failure::Failure;
use crate::process;
use crate::workspace::{Workspace, list, text_of};

/// One line of the table. Times of the same round stand at the same place.
struct Row {
    name: String,
    instructions: u64,
    compile_us: Vec<f64>,
    load_us: Vec<f64>,
    constant_ns: Vec<f64>,
    checked_ns: Vec<f64>,
}

pub(super) fn run(rounds: usize, json: bool) -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    // A time of an unoptimised compiler says nothing.
    let build = ["build", "--release", "--quiet", "--package", "ringfence-tests", "--bin", "filter-cost"];
    process::run(process::cargo().args(build))?;
    let load = load();
    let text =
        process::read(Command::new(workspace.target.join("release/filter-cost")).arg(rounds.to_string()))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::Work(format!("filter-cost wrote what is not JSON: {error}")))?;
    let rows: Vec<_> = list(&value, "lanes").iter().map(parse).collect();
    let Some(bare) = rows.first() else {
        return Err(Failure::Work("filter-cost measured nothing".to_owned()));
    };
    let notes: Vec<_> = list(&value, "notes").iter().filter_map(Value::as_str).collect();
    if json {
        let rows: Vec<_> = rows.iter().map(|row| row.json(bare)).collect();
        println!("{:#}", json!({ "load": load, "rounds": rounds, "filters": rows, "notes": notes }));
        return Ok(());
    }
    println!("load average {load}, {rounds} rounds, interleaved; the default profile on this machine\n");
    print(&rows, bare);
    println!(
        "\na call: the mean of 20,000, then the median of the rounds; in brackets in units of no filter"
    );
    for note in notes {
        println!("note: {note}");
    }
    Ok(())
}

fn parse(lane: &Value) -> Row {
    let numbers = |key| list(lane, key).iter().filter_map(Value::as_f64).collect();
    Row {
        name: text_of(lane, "name"),
        instructions: lane["instructions"].as_u64().unwrap_or_default(),
        compile_us: numbers("compile_us"),
        load_us: numbers("load_us"),
        constant_ns: numbers("constant_ns"),
        checked_ns: numbers("checked_ns"),
    }
}

fn print(rows: &[Row], bare: &Row) {
    println!("| filter | instructions | getppid, ns | personality, ns | compile, us | load, us (p99) |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for row in rows {
        let call = |own: &[f64], unit: &[f64]| format!("{:.0} ({:.2})", median(own), paired_ratio(own, unit));
        let time = |values: &[f64]| match values {
            [] => "-".to_owned(),
            values => format!("{:.0}", median(values)),
        };
        let load = match row.load_us.as_slice() {
            [] => "-".to_owned(),
            values => format!("{} ({:.0})", time(values), quantile(values, 0.99)),
        };
        println!(
            "| {} | {} | {} | {} | {} | {load} |",
            row.name,
            row.instructions,
            call(&row.constant_ns, &bare.constant_ns),
            call(&row.checked_ns, &bare.checked_ns),
            time(&row.compile_us),
        );
    }
}

impl Row {
    fn json(&self, bare: &Self) -> Value {
        let some = |values: &[f64]| if values.is_empty() { None } else { Some(median(values)) };
        json!({
            "name": self.name, "instructions": self.instructions,
            "constant_ns": median(&self.constant_ns), "checked_ns": median(&self.checked_ns),
            "constant_x_bare": paired_ratio(&self.constant_ns, &bare.constant_ns),
            "checked_x_bare": paired_ratio(&self.checked_ns, &bare.checked_ns),
            "compile_us": some(&self.compile_us), "load_us": some(&self.load_us),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_lane() {
        let row = parse(&json!({
            "name": "ringfence", "instructions": 3, "compile_us": [], "load_us": [4.0],
            "constant_ns": [10.0, 30.0, 20.0], "checked_ns": [1.5],
        }));
        assert_eq!((row.name.as_str(), row.instructions), ("ringfence", 3));
        let told = row.json(&row);
        assert_eq!((&told["constant_ns"], &told["constant_x_bare"]), (&json!(20.0), &json!(1.0)));
        assert_eq!((&told["compile_us"], &told["load_us"]), (&Value::Null, &json!(4.0)));
    }
}
