//! Bad input ends in exit status 2, or 1 where the work fails, and one line that says why: no panic,
//! no output, no file.

mod programs;

use programs::{assert_refused, blobs, files, fits, lines, patch, program, run, shell};
use std::path::Path;

/// Maps with the header of a FITS table whose columns are no map's.
fn wrong_columns() -> Vec<u8> {
    let header = |cards: &[&str]| {
        let mut bytes: Vec<u8> = Vec::new();
        for card in cards.iter().chain(&["END"]) {
            bytes.extend(format!("{card:<80}").bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(2880), b' ');
        bytes
    };
    let mut file = header(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"]);
    file.extend(header(&[
        "XTENSION= 'BINTABLE'",
        "BITPIX  = 8",
        "NAXIS   = 2",
        "NAXIS1  = 16",
        "NAXIS2  = 4",
        "PCOUNT  = 0",
        "GCOUNT  = 1",
        "TFIELDS = 2",
        "TTYPE1  = 'RA'",
        "TFORM1  = 'D'",
        "TTYPE2  = 'DEC'",
        "TFORM2  = 'D'",
        "DZ      = 0.01",
    ]));
    file.resize(file.len() + 2880, 0);
    file
}

fn npy(shape: &str, values: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.bytes());
    for i in 0..values {
        file.extend((i as f64 + 1.0).to_le_bytes());
    }
    file
}

/// Runs both programs that read maps on `input` and wants it refused.
fn refused(arguments: &[&str], input: &[u8], said: &str) {
    for name in ["oof-fit", "oof-grad"] {
        let folder = tempfile::tempdir().unwrap();
        let mut all = vec!["-o", "out.json"];
        all.extend(arguments);
        let output = run(name, &all, input, folder.path());
        let what = format!("{name} {arguments:?}");
        assert_refused(&output, 2, name, said, &what);
        assert!(output.stdout.is_empty(), "{what}");
        assert_eq!(files(folder.path()), [""; 0], "{what}");
    }
}

const DZ: [f64; 3] = [0.0, -0.05, 0.05];

#[test]
fn a_truncated_fits_file_is_refused() {
    let whole = fits(&blobs(&DZ));
    for length in [1, 79, 1000, 2880, 2881, whole.len() / 2, whole.len() - 2880] {
        refused(&[], &whole[..length], "standard input");
    }
}

#[test]
fn what_is_no_fits_file_is_refused() {
    refused(&[], b"\x7fELF\x02\x01\x01\x00\x00\x00", "neither FITS nor .npy");
    refused(&[], b"Dear Sir or Madam,\n", "neither FITS nor .npy");
    refused(&[], b"\x1f\x8b\x08\x00", "gunzip");
    refused(&["--format", "fits"], b"Dear Sir or Madam,\n", "standard input");
}

#[test]
fn a_table_with_the_wrong_columns_is_refused() {
    refused(&[], &wrong_columns(), "columns");
}

#[test]
fn infinite_pixels_are_refused_by_their_place() {
    for value in [f64::INFINITY, f64::NEG_INFINITY] {
        refused(&[], &patch(fits(&blobs(&DZ)), value), "column 0, row 0");
    }
}

#[test]
fn a_map_that_is_all_blank_is_refused() {
    let mut map = npy("(3, 16, 16)", 0);
    map.extend((0..3 * 256).flat_map(|_| f64::NAN.to_le_bytes()));
    refused(&["--telescope", "nikolic2018"], &map, "all blank");
}

#[test]
fn random_aberrations_of_no_order_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--telescope", "srt", "--rms", "0.3rad", "--order", "1", "-o", "x.fits"];
    let output = run("oof-simulate", &arguments, b"", folder.path());
    assert_refused(&output, 2, "oof-simulate", "orders 2 to --order", "an order of 1");
}

#[test]
fn a_map_that_is_all_zero_is_refused() {
    let mut map = npy("(3, 16, 16)", 0);
    map.resize(map.len() + 8 * 3 * 256, 0);
    refused(&["--telescope", "nikolic2018"], &map, "all zero");
}

#[test]
fn a_map_that_is_the_same_everywhere_is_refused() {
    let mut map = npy("(3, 16, 16)", 0);
    map.extend((0..3 * 256).flat_map(|_| 2.5f64.to_le_bytes()));
    refused(&["--telescope", "nikolic2018"], &map, "all samples are the same: there is no beam");
}

#[test]
fn a_single_map_is_refused() {
    refused(&[], &fits(&blobs(&[0.05])), "at least two focus settings");
    let flat = npy("(32, 32)", 1024);
    let options = ["--telescope", "nikolic2018", "--defocus", "-50mm"];
    refused(&options, &flat, "at least two focus settings");
}

#[test]
fn maps_at_one_focus_setting_are_refused() {
    refused(&[], &fits(&blobs(&[0.05; 3])), "all 3 maps have dz = 50 mm");
    let options = ["--defocus", "1mm,1mm,1mm"];
    refused(&options, &fits(&blobs(&DZ)), "all 3 maps have dz = 1 mm");
}

#[test]
fn order_0_and_order_60_are_refused() {
    for order in ["0", "60", "-1", "five", "2.5"] {
        let option = format!("--order={order}");
        refused(&[&option], &fits(&blobs(&DZ)), "from 1 to 20");
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["--telescope", "srt", "-o", "x.fits", &option];
        let output = run("oof-simulate", &arguments, b"", folder.path());
        assert_refused(&output, 2, "oof-simulate", "from 1 to 20", order);
        assert!(files(folder.path()).is_empty());
    }
}

#[test]
fn a_source_larger_than_the_maps_and_a_band_as_wide_as_its_frequency_are_refused() {
    let maps = fits(&blobs(&DZ));
    for (option, said) in [
        ("--source-radius=-1arcsec", "less than 0"),
        ("--source-radius=12", "arcsec"),
        ("--source-radius=12mm", "arcsec"),
        ("--source-radius=1deg", "a source radius of 3600.0 arcsec, but the maps reach"),
        ("--bandwidth=-2GHz", "less than 0"),
        ("--bandwidth=2", "GHz"),
        ("--bandwidth=300GHz", "no less than the frequency of 272.539 GHz"),
    ] {
        refused(&[option], &maps, said);
    }
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--telescope", "srt", "-o", "x.fits", "--source-radius", "10deg"];
    let output = run("oof-simulate", &arguments, b"", folder.path());
    assert_refused(&output, 2, "oof-simulate", "but the maps reach", "--source-radius");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_grid_smaller_than_the_dish_is_refused() {
    let maps = fits(&blobs(&DZ));
    let options = ["--aperture", "paper", "--aperture-extent", "0.5"];
    refused(&options, &maps, "extends to 0.5 dish radii");
    refused(&["--aperture", "paper"], &maps, "--aperture-points");
    // At a tenth of the wavelength the same pixels are five beams wide.
    refused(&["--wavelength", "0.11mm"], &maps, "smaller than the dish");
    for grid in ["0", "1", "8"] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["--telescope", "nikolic2018", "-o", "x.fits", "--grid", grid];
        let output = run("oof-simulate", &arguments, b"", folder.path());
        assert_refused(&output, 2, "oof-simulate", "grid", grid);
        assert!(files(folder.path()).is_empty());
    }
}

#[test]
fn a_coefficient_of_an_order_that_no_grid_carries_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for zernike in ["z100000=1rad", "z4294967295=1rad"] {
        let arguments = ["--telescope", "srt", "--zernike", zernike, "-o", "a.fits"];
        let output = run("oof-simulate", &arguments, b"", folder.path());
        assert_refused(&output, 2, "oof-simulate", "too few for order", zernike);
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn an_unknown_telescope_is_answered_with_those_that_are_known() {
    let maps = fits(&blobs(&DZ));
    refused(&["--telescope", "glt"], &maps, "nikolic2018");
    refused(&["--telescope", "glt.toml"], &maps, "glt.toml: no such file");
    let mut foreign = blobs(&DZ);
    foreign.telescope = Some("KOSMA 3m".into());
    refused(&[], &fits(&foreign), "KOSMA 3m");
    foreign.telescope = None;
    refused(&[], &fits(&foreign), "--telescope");
    // One of the same name but for its capitals would be taken for that which is built in.
    let folder = tempfile::tempdir().unwrap();
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("lib/optics/telescopes/srt.toml");
    let own = std::fs::read_to_string(built_in).unwrap();
    let own = own.replace("name = \"srt\"", "name = \"SRT\"").replace("32.004m", "33.0m");
    assert!(own.contains("SRT") && own.contains("33.0m"), "{own}");
    std::fs::write(folder.path().join("own.toml"), own).unwrap();
    let output = run("oof-simulate", &["--telescope", "./own.toml"], b"", folder.path());
    assert_refused(&output, 2, "oof-simulate", "is another SRT than", "own.toml");
    let output = run("oof-simulate", &["--telescope", "glt"], b"", Path::new("."));
    assert_refused(&output, 2, "oof-simulate", "nikolic2018", "glt");
}

#[test]
fn a_missing_unit_is_answered_with_those_that_there_are() {
    let maps = fits(&blobs(&DZ));
    for (option, said) in [
        ("--wavelength=1.1", "mm"),
        ("--frequency=86", "GHz"),
        ("--defocus=-50,0,50", "mm"),
        ("--start=z3=0.2", "arcsec"),
        ("--bound=z3=-1..1", "arcsec"),
        ("--map=-27:a.txt", "mm"),
    ] {
        refused(&[option], &maps, "add a unit");
        refused(&[option], &maps, said);
    }
}

#[test]
fn empty_input_is_refused() {
    refused(&[], b"", "standard input: empty");
    refused(&["missing.fits"], b"", "missing.fits: no such file or directory");
    refused(&["."], b"", ".: is a folder");
}

#[test]
fn output_that_cannot_be_written_is_found_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("there.json"), "mine").unwrap();
    std::fs::write(folder.path().join("there.fits"), "mine").unwrap();
    let before = files(folder.path());
    for (name, arguments, said) in [
        ("oof-fit", "-o no/out.json", "no such file or directory"),
        ("oof-fit", "--plot no/out.png", "no such file or directory"),
        ("oof-fit", "-o there.json", "--force"),
        ("oof-fit", "-o a.xlsx", ".json, .csv or .fits"),
        ("oof-fit", "-o a.json --plot a.json", "for the plot"),
        ("oof-fit", "-o a.png.json --plot ./a.png.json", "for the plot"),
        ("oof-grad", "-o no/out.csv", "no such file or directory"),
        ("oof-grad", "-o there.json", "--force"),
        ("oof-grad", "-o a.csv --hessian", "--hessian"),
        ("oof-simulate", "--telescope srt -o no/out.fits", "no such file or directory"),
        ("oof-simulate", "--telescope srt -o there.fits", "--force"),
        ("oof-simulate", "--telescope srt -o a.xlsx", ".fits, .npy or .txt"),
        ("oof-simulate", "--telescope srt -o a.txt", "text holds one map"),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        // Nothing is on the input: that the output is wrong is found first.
        let output = run(name, &arguments, b"", folder.path());
        assert_refused(&output, 2, name, said, &format!("{name} {arguments:?}"));
        assert_eq!(files(folder.path()), before);
    }
    assert_eq!(std::fs::read(folder.path().join("there.json")).unwrap(), b"mine");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let maps = fits(&blobs(&DZ));
    for (options, said) in [
        ("--wavelength 1mm --frequency 90GHz", "cannot be used with"),
        ("--free z3 --fix z3", "in --fix, and in --free"),
        ("--prior z3=0rad:1rad --fix z3", "in --fix, and in --free or --prior"),
        ("--start z3=5rad --bound z3=1rad..2rad", "z3 starts at 5, outside its bounds 1 and 2"),
        ("--bound sigma=1..2", "sigma is fixed, so a --bound says nothing of it"),
        ("--noise multiplicative=0.01", "--noise without additive"),
        ("--free z99", "above order 5"),
        ("--free taper", "gaussian illumination"),
        ("--fix gain[3]", "numbered from 0"),
        ("--start nonsense=1", "unknown parameter"),
        ("--bound sigma=2..1", "is empty"),
        ("--nuisance some", "unknown nuisance"),
        ("--scale 0", "more than 0"),
        ("--defocus 1mm,2mm", "2 values"),
        ("--aperture-extent 1.1", "--aperture-points"),
        ("--config missing.toml", "missing.toml: no such file"),
        ("--backend cuda", "no CUDA d"),
        ("--threads 0", "--threads"),
        ("--illumination wavy", "pedestal"),
        ("--ordre 5", "--order"),
    ] {
        let options: Vec<&str> = options.split(' ').collect();
        refused(&options, &maps, said);
    }
}

#[test]
fn text_maps_are_refused_by_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let maps = blobs(&DZ);
    let good = lines(&maps.maps[0]);
    for name in ["good.txt", "again.txt"] {
        std::fs::write(folder.path().join(name), &good).unwrap();
    }
    std::fs::write(folder.path().join("bad.txt"), "0 0 1\n0 0.1\n").unwrap();
    std::fs::write(folder.path().join("maps.fits"), fits(&maps)).unwrap();
    let telescope = "oof-fit --telescope nikolic2018";
    for (line, said) in [
        (format!("{telescope} --map=0mm:good.txt --map=5mm:bad.txt"), "bad.txt, line 2: 2 columns"),
        (format!("{telescope} --map=0mm:good.txt --map=5mm:maps.fits"), "maps.fits: is no text"),
        (format!("{telescope} --map=0mm:good.txt"), "at least two focus settings"),
        (format!("{telescope} good.txt"), "--map DZ:FILE"),
        ("oof-fit --map=0mm:good.txt --map=5mm:again.txt".into(), "--telescope"),
        (format!("{telescope} --map=0mm:good.txt --map=5mm:good.txt"), "at dz = 0 mm and at 5 mm"),
        ("oof-fit maps.fits --map=0mm:good.txt".into(), "cannot be used with"),
    ] {
        assert_refused(&shell(&line, folder.path()), 2, "oof-fit", said, &line);
    }
}

#[test]
fn cubes_that_are_no_maps_are_refused() {
    let telescope = ["--telescope", "nikolic2018"];
    refused(&[], &npy("(3, 16, 16)", 768), "--telescope");
    refused(&telescope, &npy("(4, 16, 16)", 1024), "4 maps, but 3 values of dz");
    refused(&telescope, &npy("(3, 16, 8)", 384), "square");
    refused(&telescope, &npy("(1000000000000,)", 8), "standard input");
    refused(&telescope, &npy("(3, 16, 16)", 700), "standard input");
    refused(&telescope, &npy("(3, 6, 6)", 108), "--aperture-points");
    refused(&telescope, &npy("(3, 4, 4)", 48), "less than a beam");
}

#[test]
fn a_file_name_cannot_break_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program("oof-fit", folder.path());
    let output = command.arg("a\nb\u{1b}[2J.fits").output().unwrap();
    assert_refused(&output, 2, "oof-fit", "a\\nb", "line end");
}

#[test]
fn blanks_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let line = "oof-simulate --telescope nikolic2018 --grid 32 --rms 0.3rad --order 2 --noise additive=0.005 --seed 3 -o maps.fits";
    programs::assert_silent_success(&shell(line, folder.path()), line);
    let file = std::fs::read(folder.path().join("maps.fits")).unwrap();
    let mut maps = oof::io::fits::read_maps(&file, "maps.fits").unwrap();
    for i in [0, 17, 500, 528] {
        maps.maps[1].power[i] = f64::NAN;
    }
    let output = run("oof-fit", &["--order", "2"], &fits(&maps), folder.path());
    programs::assert_silent_success(&output, "oof-fit");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["status"], "converged");
    assert_eq!(result["maps"][1]["blanks"], 4);
    assert_eq!(result["maps"][1]["samples"], 1020);
    assert_eq!(result["maps"][0]["blanks"], 0);
}

#[test]
fn a_result_never_replaces_the_maps_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let maps = "oof-simulate --telescope nikolic2018 --grid 32 --order 2 --quiet -o maps.fits";
    assert!(shell(maps, folder.path()).status.success());
    let before = std::fs::read(folder.path().join("maps.fits")).unwrap();
    for line in [
        "oof-fit maps.fits --order 2 -o ./maps.fits --force",
        "oof-fit maps.fits --order 2 -o fit.json --plot fit.svg",
    ] {
        assert_refused(&shell(line, folder.path()), 2, "oof-fit", "fit", line);
    }
    assert_eq!(std::fs::read(folder.path().join("maps.fits")).unwrap(), before);
    assert_eq!(files(folder.path()), ["maps.fits"]);
}
