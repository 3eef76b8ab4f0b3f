//! The man pages are made from the same definitions as `--help`. `OOF_BLESS=1 cargo test --test man`
//! writes them anew.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use oof::cli::{
    bench::BenchArgs, example, fit::FitArgs, grad::GradArgs, plot::PlotArgs, simulate::SimulateArgs,
};
use roff::{Roff, bold, roman};
use std::path::Path;

/// By hand: a page that has not changed must not look new.
const DATE: &str = "2026-11-24";

const EXIT: [(&str, &str); 4] = [
    ("0", "Done; also where the reader of the output has gone."),
    (
        "1",
        "The work failed: a fit that is suspect or did not converge (its result is written all the same), a check \
         that does not hold, a measurement that failed (the others are written), output that could not be \
         written to its end.",
    ),
    (
        "2",
        "The input or the command line is wrong, or there is no place for the output. Nothing is written.",
    ),
    ("130, 143", "Ended by SIGINT, SIGTERM. Nothing is written."),
];

fn commands() -> [Command; 5] {
    [
        SimulateArgs::command(),
        FitArgs::command(),
        PlotArgs::command(),
        GradArgs::command(),
        BenchArgs::command(),
    ]
}

/// The options, a sub-section a heading.
fn options(man: &Man) -> String {
    let mut page = Vec::new();
    man.render_options_section(&mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    let page = page.replace("\n.SH ", "\n.SS ");
    let page = page.replacen(".SS OPTIONS\n", ".SH OPTIONS\n", 1);
    // What has no heading, --help and --version, stands first under the section's own.
    assert!(page.contains(".SH OPTIONS\n"), "{page}");
    page
}

fn page(mut command: Command) -> String {
    command.build();
    let name = command.get_name().to_string();
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_string();
    let man = Man::new(command.override_usage(usage))
        .date(DATE)
        .source(format!("oof {}", env!("CARGO_PKG_VERSION")))
        .manual("Out-of-focus holography");
    let mut top = Vec::new();
    man.render_title(&mut top).unwrap();
    man.render_name_section(&mut top).unwrap();
    man.render_synopsis_section(&mut top).unwrap();
    man.render_description_section(&mut top).unwrap();
    let mut page = String::from_utf8(top).unwrap();

    page += &options(&man);

    let mut rest = Roff::new();
    rest.control("SH", ["EXAMPLES"]);
    for example in example::of(&name) {
        rest.control("TP", []);
        rest.text([roman(format!("{}:", example.does))]);
        rest.control("nf", []);
        for line in example.command.lines() {
            rest.text([bold(line)]);
        }
        rest.control("fi", []);
    }
    rest.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in EXIT {
        rest.control("TP", []);
        rest.text([bold(status)]);
        rest.text([roman(meaning)]);
    }
    rest.control("SH", ["SEE ALSO"]);
    let others = commands();
    let others = others.iter().map(Command::get_name).filter(|other| *other != name);
    let mut names = Vec::new();
    for (i, other) in others.enumerate() {
        names.extend((i > 0).then(|| roman(", ")));
        names.extend([bold(other), roman("(1)")]);
    }
    rest.text(names);
    page + &rest.render()
}

#[test]
fn the_man_pages_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    for command in commands() {
        let name = format!("{}.1", command.get_name());
        let page = page(command);
        let path = folder.join(&name);
        if std::env::var_os("OOF_BLESS").is_some_and(|v| v == "1") {
            std::fs::write(&path, &page).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == page,
            "man/{name} is not what --help says; run OOF_BLESS=1 cargo test --test man"
        );
    }
}

#[test]
fn every_page_has_its_sections_and_every_option() {
    for command in commands() {
        let options = command.get_arguments().filter(|a| !a.is_hide_set());
        let options = options.filter_map(|a| a.get_long());
        let options: Vec<String> = options.map(|o| o.replace('-', "\\-")).collect();
        let page = page(command);
        let sections = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"];
        for section in sections.iter().chain(&["\"EXIT STATUS\"", "\"SEE ALSO\""]) {
            let heading = format!("\n.SH {section}\n");
            assert_eq!(page.matches(&heading).count(), 1, "{section}");
        }
        for option in options {
            let text = format!("\\fB\\-\\-{option}\\fR");
            let (_, described) = page.split_once("\n.SH OPTIONS\n").unwrap();
            assert_eq!(described.matches(&text).count(), 1, "{option}");
        }
    }
}
