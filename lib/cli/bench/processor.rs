//! What the system tells of processor and memory.

use std::fs::read_to_string;

/// The processor's name and the number of its cores: `AMD EPYC 9655, 2 cores`.
pub fn name() -> String {
    describe(&read_to_string("/proc/cpuinfo").unwrap_or_default())
}

fn describe(cpuinfo: &str) -> String {
    let of = |key: &'static str| {
        let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.filter(move |(name, _)| name.trim() == key)
    };
    let model = of("model name").next().map_or("unknown processor", |m| m.1);
    let model: Vec<&str> = model.split_whitespace().collect();
    match of("processor").count() {
        0 => model.join(" "),
        n => format!("{}, {n} cores", model.join(" ")),
    }
}

/// From here on, the peak is of what comes: how the maps were read is no part of a fit. Where the
/// system does not allow it, the peak is too high rather than too low.
pub fn forget_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The largest resident memory that this process has had, bytes; `None` where the system does not say.
pub fn peak_memory() -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name_and_cores() {
        let two = "processor\t: 0\nmodel name\t: Some  CPU @ 3 GHz\n\nprocessor\t: 1\nmodel name\t: Some  CPU @ 3 GHz\n";
        assert_eq!(describe(two), "Some CPU @ 3 GHz, 2 cores");
        assert_eq!(describe(""), "unknown processor");
    }

    #[test]
    fn memory_that_was_used_shows_until_it_is_forgotten() {
        if peak_memory().is_none() {
            return eprintln!("skipped: no VmHWM in /proc/self/status");
        }
        // Much more than the other tests of this process use.
        let used = std::hint::black_box(vec![1u8; 256 << 20]);
        assert!(peak_memory().unwrap() >= 256 << 20);
        drop(used);
        if std::fs::write("/proc/self/clear_refs", "5").is_err() {
            return eprintln!("skipped: /proc/self/clear_refs cannot be written");
        }
        forget_peak_memory();
        assert!(peak_memory().unwrap() < 256 << 20);
    }
}
