//! Pictures from files and pipes.

mod programs;

use programs::{assert_refused, assert_silent_success, blobs, fits, lines, run, shell};
use std::path::Path;

/// Width, height and pixels of a PNG; panics where it is none.
fn decoded(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "no PNG");
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width, info.height, pixels)
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

const MAPS: &str = "oof-simulate --telescope nikolic2018 --grid 32 --order 2 --rms 0.3rad \
    --noise additive=0.005 --seed 1 --quiet";

#[test]
fn maps_are_drawn_from_a_file_and_from_a_pipe_alike() {
    let folder = tempfile::tempdir().unwrap();
    for line in [
        &format!("{MAPS} -o maps.fits"),
        "oof-plot maps.fits -o file.png",
        &format!("{MAPS} | oof-plot -o pipe.png"),
        "oof-plot - < maps.fits > dash.png",
    ] {
        assert_silent_success(&shell(line, folder.path()), line);
    }
    let file = read(folder.path(), "file.png");
    assert_eq!(file, read(folder.path(), "pipe.png"));
    assert_eq!(file, read(folder.path(), "dash.png"));
    // Three maps are one row: wider than high, and not one colour.
    let (width, height, pixels) = decoded(&file);
    assert!(width > 2 * height && height > 300, "{width} x {height}");
    let colours: std::collections::HashSet<&[u8]> = pixels.chunks(3).collect();
    assert!(colours.len() > 50, "{} colours", colours.len());
}

#[test]
fn the_picture_of_a_fit_is_that_of_the_fit_itself() {
    let folder = tempfile::tempdir().unwrap();
    let maps = blobs(&[0.0, -0.05, 0.05]);
    for (i, map) in maps.maps.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{i}.txt")), lines(map)).unwrap();
    }
    // The second has maps that do not know their wavelength.
    for line in [
        &format!("{MAPS} | oof-fit --order 2 -o fit.fits --plot fit.png"),
        "oof-fit --telescope nikolic2018 --order 2 --quiet --map=0mm:0.txt --map=-50mm:1.txt --map=50mm:2.txt \
         -o text.fits --plot text.png; true",
    ] {
        let output = shell(line, folder.path());
        assert!(output.status.success(), "{line}");
    }
    for name in ["fit", "text"] {
        let line = format!("oof-plot {name}.fits > again.png");
        assert_silent_success(&shell(&line, folder.path()), &line);
        let (width, height, first) = decoded(&read(folder.path(), &format!("{name}.png")));
        let (again_width, again_height, again) = decoded(&read(folder.path(), "again.png"));
        assert_eq!((width, height), (again_width, again_height));
        // Observed is model and residual together: its last digit, and with it a shade, may differ.
        let off = first.iter().zip(&again).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off <= Some(1), "{name}: {off:?}");
    }
    let line = "oof-plot fit.fits --wavelength 3mm -o other.png";
    assert_refused(&shell(line, folder.path()), 2, "oof-plot", "fit.fits holds a fit", line);
}

#[test]
fn text_maps_and_cubes_are_drawn_with_what_the_options_say() {
    let folder = tempfile::tempdir().unwrap();
    let maps = blobs(&[0.0, -0.05]);
    std::fs::write(folder.path().join("in.txt"), lines(&maps.maps[0])).unwrap();
    std::fs::write(folder.path().join("out.txt"), lines(&maps.maps[1])).unwrap();
    for line in [
        "oof-plot --map 0mm:in.txt --map=-50mm:out.txt -o text.png",
        &format!("{MAPS} -o maps.npy"),
        "oof-plot maps.npy --telescope nikolic2018 -o cube.png",
        "oof-plot maps.npy --telescope nikolic2018 --defocus 0mm,-40mm,40mm -o other.png",
    ] {
        assert_silent_success(&shell(line, folder.path()), line);
    }
    decoded(&read(folder.path(), "text.png"));
    let cube = read(folder.path(), "cube.png");
    decoded(&cube);
    assert_ne!(cube, read(folder.path(), "other.png"), "the defocus is not shown");
}

#[test]
fn what_cannot_be_drawn_is_one_line_and_exit_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let maps = fits(&blobs(&[0.0, -0.05]));
    std::fs::write(folder.path().join("maps.fits"), &maps).unwrap();
    std::fs::write(folder.path().join("there.png"), "precious").unwrap();
    std::fs::write(folder.path().join("fit.json"), "{\"tool\": \"oof-fit\"}").unwrap();
    std::fs::write(folder.path().join("one.txt"), "0 0 1\n").unwrap();
    let line = format!("{MAPS} -o maps.npy");
    assert_silent_success(&shell(&line, folder.path()), &line);
    for (line, said) in [
        ("oof-plot maps.fits -o there.png", "--force"),
        ("oof-plot maps.fits -o maps.jpg", ".png"),
        ("oof-plot maps.npy -o a.png", "--telescope"),
        ("oof-plot maps.fits --defocus 0mm -o a.png", "1 values, but there are 2 maps"),
        ("oof-plot fit.json -o a.png", "-o FILE.fits"),
        ("oof-plot one.txt -o a.png", "--map"),
        ("oof-plot nowhere.fits -o a.png", "no such file"),
        ("oof-plot maps.fits --telescope nowhere -o a.png", "nowhere"),
        ("head -c 5000 maps.fits | oof-plot -o a.png", "standard input"),
        ("oof-plot -o a.png < .", "standard input: is a folder"),
    ] {
        assert_refused(&shell(line, folder.path()), 2, "oof-plot", said, line);
        assert!(!folder.path().join("a.png").exists(), "{line}");
    }
    assert_eq!(read(folder.path(), "there.png"), b"precious");
    let line = "oof-plot maps.fits -o there.png --force";
    assert_silent_success(&shell(line, folder.path()), line);
    decoded(&read(folder.path(), "there.png"));
    let output = run("oof-plot", &[], b"", folder.path());
    assert_eq!(output.status.code(), Some(2), "nothing on standard input");
}
