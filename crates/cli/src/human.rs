//! Figures as people read them.

use std::time::Duration;

/// `12.3 MiB`
pub(crate) fn bytes(n: u64) -> String {
    let mut value = n as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") }
}

/// `1.23 s`
pub(crate) fn microseconds(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} us"),
        1_000..1_000_000 => format!("{:.1} ms", n as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.2} s", n as f64 / 1e6),
        _ => {
            let seconds = n / 1_000_000;
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let hours = if hours > 0 { format!("{hours} h ") } else { String::new() };
            format!("{hours}{minutes} min {} s", seconds % 60)
        }
    }
}

/// `12.3M`: a size where there is little room; the units are powers of 1024.
pub(crate) fn size(n: u64) -> String {
    bytes(n).replacen("iB", "", 1).replace(' ', "")
}

/// `0.1s`, `3m5s`, `2h4m`, `3d4h`: a time where there is little room.
pub(crate) fn age(us: u64) -> String {
    let seconds = us / 1_000_000;
    match seconds {
        0..10 => format!("{:.1}s", us as f64 / 1e6),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `10s`, `1500ms`: as a flag is given it.
pub(crate) fn as_a_flag(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_can_be_given_to_a_flag() {
        for text in ["10s", "1500ms", "300s"] {
            assert_eq!(as_a_flag(ringfence::policy::parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn figures_for_little_room_are_short() {
        assert_eq!([7, 1024, 12_897_485, 5 << 30].map(size), ["7B", "1.0K", "12.3M", "5.0G"]);
        assert_eq!(
            [120_000, 42_000_000, 185_000_000, 7_440_000_000, 273_600_000_000].map(age),
            ["0.1s", "42s", "3m5s", "2h4m", "3d4h"]
        );
    }

    #[test]
    fn figures_have_the_unit_that_fits() {
        assert_eq!([0, 1023, 1024, 12_897_485].map(bytes), ["0 B", "1023 B", "1.0 KiB", "12.3 MiB"]);
        assert_eq!(
            [7, 1_500, 1_234_567, 61_000_000, 7_265_000_000].map(microseconds),
            ["7 us", "1.5 ms", "1.23 s", "1 min 1 s", "2 h 1 min 5 s"]
        );
    }
}
