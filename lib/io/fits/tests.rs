//! Whole files: written and read, other people's layouts, and damaged ones.

use super::*;
use crate::device::Precision;
use crate::optics::aperture::{ApertureGrid, ApertureKind};
use crate::optics::beam_map::{BeamMap, MapSet, Noise, Sampling, Sigma};
use memory::{Values, Writer};
use proptest::prelude::*;

fn centred(n: usize, step: f64) -> Vec<f64> {
    (0..n).map(|j| (j as f64 - (n / 2) as f64) * step).collect()
}

fn raster(name: &str, defocus: f64, sigma: Sigma) -> BeamMap {
    let (u, v) = (centred(8, 1.1e-3 / 22.4), centred(5, 1.0 / 3e4));
    let mut power: Vec<f64> = (0..40).map(|i| (f64::from(i) / 7.0).sin().powi(2)).collect();
    power[3] = f64::NAN;
    BeamMap { name: name.into(), defocus, sampling: Sampling::Raster { u, v }, power, sigma }
}

fn simulated() -> MapSet {
    let truth = [("z5", 1.0 / 3.0), ("sigma", 0.72), ("gain[1]", 1.01), ("a longer name", -1.0)];
    MapSet {
        maps: vec![
            raster("MAP0", 0.0, Sigma::Constant(0.1 + 0.2)),
            raster("MAP1", -0.05, Sigma::Unknown),
        ],
        wavelength: Some(1.1e-3),
        telescope: Some("nikolic2018".into()),
        object: Some("3C 273".into()),
        chop: None,
        shift: vec![[1e-3 / 3.0, 0.0], [0.0, -2e-3]],
        source_radius: Some(1e-4),
        bandwidth: Some(2e9),
        elevation: Some(0.5),
        aperture: Some(ApertureGrid { kind: ApertureKind::Hard, points: 256, extent: 4.0 }),
        illumination: Some("gaussian".into()),
        noise: Some(Noise { additive: 0.024, multiplicative: 0.01, outliers: 0.0 }),
        seed: Some(u64::MAX),
        truth: truth.map(|(name, value)| (name.to_string(), value)).into(),
    }
}

/// Equality in which NaN equals NaN and the elevation, which is stored in degrees, may be rounded.
fn assert_same(a: &MapSet, b: &MapSet) {
    let strip = |set: &MapSet| {
        let mut set = set.clone();
        set.elevation = None;
        for map in &mut set.maps {
            for p in map.power.iter_mut().filter(|p| p.is_nan()) {
                *p = f64::MAX;
            }
        }
        set
    };
    assert_eq!(strip(a), strip(b));
    let (a, b) = (a.elevation.unwrap_or(0.0), b.elevation.unwrap_or(0.0));
    assert!((a - b).abs() <= 2.0 * f64::EPSILON * b.abs());
}

fn write(set: &MapSet) -> Vec<u8> {
    let provenance = ["--order 5".to_string(), "é".repeat(200)];
    write_maps(set, &provenance, Precision::F64).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    let message = read_maps(bytes, "a.fits").unwrap_err().to_string();
    assert!(message.starts_with("a.fits"), "{message}");
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn simulated_maps_come_back_to_the_last_bit() {
    let set = simulated();
    let bytes = write(&set);
    assert_same(&read_maps(&bytes, "x").unwrap(), &set);
    assert_eq!(write(&set), bytes, "the same maps gave other bytes");
}

#[test]
fn maps_with_nothing_but_samples_come_back() {
    let set = MapSet { maps: vec![raster("MAP0", 0.1, Sigma::Unknown)], ..MapSet::default() };
    assert_same(&read_maps(&write(&set), "x").unwrap(), &set);
}

#[test]
fn single_precision_rounds_the_samples_only() {
    let set = simulated();
    let bytes = write_maps(&set, &[], Precision::F32).unwrap();
    let read = read_maps(&bytes, "x").unwrap();
    for (a, b) in read.maps.iter().zip(&set.maps) {
        assert_eq!(a.sampling, b.sampling);
        for (a, b) in a.power.iter().zip(&b.power) {
            assert!(*a == f64::from(*b as f32) || (a.is_nan() && b.is_nan()));
        }
    }
    let mut large = set;
    large.maps[0].power[0] = 1e39;
    assert!(write_maps(&large, &[], Precision::F32).is_err());
}

#[test]
fn scattered_and_uneven_maps_come_back_as_they_were() {
    let scattered = BeamMap {
        name: "MAP0".into(),
        defocus: 0.035,
        sampling: Sampling::Scattered {
            u: vec![1e-4, -2e-4, 1.0 / 3e3],
            v: vec![0.0, 1e-5, -7e-4],
        },
        power: vec![1.0, 0.5, -0.1],
        sigma: Sigma::PerSample(vec![0.1, 0.2, 0.3]),
    };
    let uneven = BeamMap {
        name: "MAP1".into(),
        defocus: 0.0,
        sampling: Sampling::Raster { u: vec![3e-4, 1e-4, -1e-4, -2e-4], v: vec![-1e-4, 2e-4] },
        power: (0..8).map(f64::from).collect(),
        sigma: Sigma::Constant(0.5),
    };
    let weighted = raster("MAP2", 0.0, Sigma::PerSample(vec![0.25; 40]));
    let maps = vec![scattered, uneven, weighted];
    let set = MapSet { maps, chop: Some(57.8f64.to_radians() / 3600.0), ..MapSet::default() };
    assert_same(&read_maps(&write(&set), "x").unwrap(), &set);
}

#[test]
fn maps_that_could_not_be_read_back_are_not_written() {
    let change = |f: fn(&mut MapSet)| {
        let mut set = simulated();
        f(&mut set);
        assert!(write_maps(&set, &[], Precision::F64).is_err());
    };
    change(|s| s.maps.clear());
    change(|s| s.maps[0].power[7] = f64::INFINITY);
    change(|s| s.maps[0].power.fill(0.0));
    change(|s| s.maps[1].power.truncate(39));
    change(|s| s.maps[1].sigma = Sigma::PerSample(vec![1.0]));
    change(|s| s.truth[0].1 = f64::NAN);
    change(|s| s.wavelength = Some(f64::INFINITY));
}

/// A file of one table, as other programs write it.
fn table(columns: &[(&str, &str, Values)], keys: &[(&str, f64)]) -> Vec<u8> {
    let mut writer = Writer::new().unwrap();
    writer.number("FREQ", 32e9, "").unwrap();
    writer.text("TELESC", "GBT", "").unwrap();
    writer.number("MEANEL", 45.0, "").unwrap();
    writer.table("MINUS OOF", columns).unwrap();
    for (key, value) in keys {
        writer.number(key, *value, "").unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn a_table_in_pyoofs_layout_is_a_raster() {
    let u: Vec<f64> = (0..6).map(|i| f64::from(i % 3) * 1e-4).collect();
    let v: Vec<f64> = (0..6).map(|i| f64::from(i / 3) * 1e-4).collect();
    let beam = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let bytes = table(
        &[
            ("U", "", Values::Singles((&u).into())),
            ("V", "", Values::Singles((&v).into())),
            ("BEAM", "", Values::Singles((&beam).into())),
        ],
        &[("DZ", -0.022)],
    );
    let set = read_maps(&bytes, "x").unwrap();
    // c / 32 GHz, by hand.
    assert!((set.wavelength.unwrap() - 9.3685143125e-3).abs() < 1e-12);
    assert!((set.elevation.unwrap() - std::f64::consts::FRAC_PI_4).abs() < 1e-15);
    let map = &set.maps[0];
    assert_eq!((map.name.as_str(), map.defocus), ("MINUS OOF", -0.022));
    assert_eq!(map.power, beam);
    let Sampling::Raster { u, v } = &map.sampling else { panic!("not a raster") };
    assert_eq!((u.len(), v.len()), (3, 2));
    assert_eq!(u[1], f64::from(1e-4f32));
}

#[test]
fn a_table_in_oofs_layout_has_the_pointing_minus_the_source() {
    let columns = [
        ("DX", "rad", Values::Numbers((&[1e-4, 2e-4, -1e-4]).into())),
        ("DY", "arcsec", Values::Numbers((&[1.0, 0.5, 0.25]).into())),
        ("FNU", "K", Values::Singles((&[1.0, 0.5, 0.0]).into())),
        ("UFNU", "K", Values::Singles((&[0.5, 0.25, 1.0]).into())),
    ];
    let set = read_maps(&table(&columns, &[("DZ", 0.035)]), "x").unwrap();
    let map = &set.maps[0];
    assert_eq!(set.telescope.as_deref(), Some("GBT"));
    let Sampling::Scattered { u, v } = &map.sampling else { panic!("not scattered") };
    assert_eq!(u, &[-1e-4, -2e-4, 1e-4]);
    assert!((v[0] + 4.848136811e-6).abs() < 1e-14);
    assert_eq!(map.sigma, Sigma::PerSample(vec![0.5, 0.25, 1.0]));
    assert_eq!(set.chop, None);
}

#[test]
fn the_distance_of_two_beams_is_in_arcseconds_and_the_radius_of_the_source_in_radians() {
    let with = |key: &str, value: f64| {
        let mut writer = Writer::new().unwrap();
        writer.number(key, value, "").unwrap();
        let one = || Values::Numbers((&[1e-4, 2e-4, -1e-4]).into());
        writer.table("MAP0", &[("DX", "", one()), ("DY", "", one()), ("FNU", "", one())]).unwrap();
        writer.number("DZ", 0.0, "").unwrap();
        writer.finish().unwrap()
    };
    let file = |chop| with("CHOPTHR", chop);
    let chop = |value| read_maps(&file(value), "x").unwrap().chop;
    // 1 arcsec = pi / 648000 rad, by hand.
    assert!((chop(57.8).unwrap() - 2.802_223_08e-4).abs() < 1e-12);
    assert_eq!(chop(0.0), None);
    let wrong = refusal(&file(4e5));
    assert!(wrong.contains("CHOPTHR is 400000"), "{wrong}");
    let radius = |key: &str, value| read_maps(&with(key, value), "x").unwrap().source_radius;
    assert_eq!(radius("OBJRADS", 6e-5), Some(6e-5));
    // OOF's point sources.
    assert_eq!([radius("OBJRADS", 0.0), radius("OBJRADS", -1.0)], [None, None]);
    assert_eq!([radius("SRCRAD", 0.0), radius("SRCRAD", 6e-5)], [Some(0.0), Some(6e-5)]);
    for key in ["SRCRAD", "BANDWID"] {
        let wrong = refusal(&with(key, -1.0));
        assert!(wrong.contains(&format!("{key} is -1, expected 0 or more")), "{wrong}");
    }
}

#[test]
fn maps_come_back_from_the_layouts_of_others() {
    let map = |name: &str, dz: f64| {
        let mut map = raster(name, dz, Sigma::Constant(0.25));
        map.power[3] = 0.5;
        map
    };
    let scattered = BeamMap {
        sampling: Sampling::Scattered { u: vec![1e-4, -2e-5, 3e-5], v: vec![2e-4, 0.0, -1e-5] },
        power: vec![0.25, 1.0, 0.1],
        sigma: Sigma::PerSample(vec![0.1, 0.2, 0.3]),
        ..map("MAP1", -0.05)
    };
    let set = MapSet {
        maps: vec![map("MAP0", 0.0), scattered],
        chop: Some(3e-4),
        seed: None,
        aperture: None,
        illumination: None,
        noise: None,
        truth: Vec::new(),
        shift: Vec::new(),
        bandwidth: None,
        ..simulated()
    };
    let provenance = ["--order 5".to_string()];
    let of_oof = write_foreign(&set, &provenance, Layout::Gbt).unwrap();
    let back = read_maps(&of_oof, "a.fits").unwrap();
    // A table has its noise by the sample, and the distance of the beams in arc seconds.
    assert_eq!(back.maps[0].sigma, Sigma::PerSample(vec![0.25; 40]));
    assert!((back.chop.unwrap() - 3e-4).abs() < 1e-19);
    let mut expected = set.clone();
    (expected.maps[0].sigma, expected.chop) = (back.maps[0].sigma.clone(), back.chop);
    assert_same(&back, &expected);

    let names = ["ZERO OOF", "PLUS OOF", "MINUS OOF"];
    let settings = [0.0, 0.02, -0.02];
    let mut plain = MapSet { chop: None, source_radius: None, ..set.clone() };
    plain.maps = names.iter().zip(settings).map(|(name, dz)| map(name, dz)).collect();
    let of_pyoof = write_foreign(&plain, &provenance, Layout::Pyoof).unwrap();
    let back = read_maps(&of_pyoof, "a.fits").unwrap();
    plain.maps.iter_mut().for_each(|map| map.sigma = Sigma::Unknown);
    assert_same(&back, &plain);

    // What a layout has no room for.
    let refused = |set: MapSet, layout, said: &str| {
        let message = write_foreign(&set, &[], layout).unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    };
    refused(set.clone(), Layout::Pyoof, "second beam");
    refused(MapSet { chop: None, source_radius: None, ..set }, Layout::Pyoof, "three rasters");
    refused(MapSet { bandwidth: Some(1e9), ..plain.clone() }, Layout::Gbt, "bandwidth");
    plain.maps[0].power[3] = f64::NAN;
    refused(plain, Layout::Gbt, "blanks");
}

#[test]
fn what_is_missing_or_senseless_is_named() {
    let u = || Values::Numbers((&[0.0, 1e-4]).into());
    let one = || Values::Numbers((&[1.0, 2.0]).into());
    let dz = [("DZ", 0.01)];
    let wrong = refusal(&table(&[("X", "", u()), ("V", "", u()), ("BEAM", "", one())], &dz));
    assert!(wrong.contains("HDU 1 (MINUS OOF)"), "{wrong}");
    assert!(wrong.contains("X, V, BEAM") && wrong.contains("U, V, POWER"), "{wrong}");
    let good = || [("U", "", u()), ("V", "", u()), ("BEAM", "", one())];
    assert!(read_maps(&table(&good(), &dz), "x").is_ok());
    assert!(refusal(&table(&good(), &[])).contains("no key DZ"));
    let sigma = refusal(&table(&good(), &[("DZ", 0.0), ("SIGMA", -1.0)]));
    assert!(sigma.contains("SIGMA is -1"), "{sigma}");
    let change = |i: usize, column| {
        let mut columns = good();
        columns[i] = column;
        refusal(&table(&columns, &dz))
    };
    assert!(change(0, ("U", "K", u())).contains("expected rad"));
    assert!(change(1, ("V", "", Values::Numbers((&[0.0, 99.0]).into()))).contains("99 rad"));
    let inf = change(2, ("BEAM", "", Values::Numbers((&[1.0, f64::INFINITY]).into())));
    assert!(inf.contains("sample 1") && inf.contains("inf"), "{inf}");
    assert!(change(2, ("BEAM", "", Values::Numbers((&[0.0, 0.0]).into()))).contains("all zero"));
    let texts = ["a".to_string(), "b".to_string()];
    assert!(change(2, ("BEAM", "", Values::Texts(texts.into()))).contains("format"));
    assert!(refusal(&Writer::new().unwrap().finish().unwrap()).contains("no maps"));
}

/// An image with the given keys and texts, 4 x 3.
fn image(keys: &[(&str, f64)], texts: &[(&str, &str)]) -> Vec<u8> {
    let pixels: Vec<f64> = (0..12).map(f64::from).collect();
    let mut writer = Writer::new().unwrap();
    writer.image("BEAM", [4, 3], &pixels, false).unwrap();
    for (key, value) in keys {
        writer.number(key, *value, "").unwrap();
    }
    for (key, value) in texts {
        writer.text(key, value, "").unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn an_image_with_a_world_coordinate_system_is_read() {
    let keys = [
        ("DZ", 0.01),
        ("CRPIX1", 2.0),
        ("CDELT1", -2.0),
        ("CRPIX2", 1.0),
        ("CRVAL2", 3.0),
        ("CDELT2", 2.0),
    ];
    let bytes = image(&keys, &[("CUNIT1", "arcsec"), ("CUNIT2", "arcmin")]);
    let set = read_maps(&bytes, "x").unwrap();
    let Sampling::Raster { u, v } = &set.maps[0].sampling else { panic!("not a raster") };
    let arcsec = std::f64::consts::PI / 648_000.0;
    let near = |a: f64, b: f64| (a - b).abs() < 1e-14;
    assert!(near(u[0], 2.0 * arcsec) && near(u[3], -4.0 * arcsec), "{u:?}");
    assert!(near(v[0], 180.0 * arcsec) && near(v[2], 420.0 * arcsec), "{v:?}");
    assert!(refusal(&image(&keys, &[("CTYPE1", "RA---TAN")])).contains("linear offsets"));
    assert!(
        refusal(&image(&keys, &[("CTYPE1", "EL")])).contains("expected u along the first axis")
    );
    let turned = [&keys[..], &[("CROTA2", 45.0)]].concat();
    assert!(refusal(&image(&turned, &[])).contains("CROTA2 is not 0"));
    // The same steps said twice are no contradiction.
    let twice = [&keys[..], &[("PC1_1", 1.0), ("CD2_2", 2.0)]].concat();
    let units = [("CUNIT1", "arcsec"), ("CUNIT2", "arcmin")];
    assert_eq!(
        read_maps(&image(&twice, &units), "x").unwrap().maps[0].sampling,
        set.maps[0].sampling
    );
    for other in [("PC1_1", -1.0), ("CD1_1", 2.0)] {
        let mirrored = [&keys[..], &[other]].concat();
        assert!(refusal(&image(&mirrored, &[])).contains(&format!("{} is {}", other.0, other.1)));
    }
    assert!(refusal(&image(&keys, &[("CUNIT2", "K")])).contains("CUNIT2"));
    assert!(refusal(&image(&keys[..2], &[])).contains("neither DU [rad] nor CDELT1"));
    assert!(refusal(&image(&keys[1..], &[])).contains("no key DZ"));
}

#[test]
fn wavelength_and_frequency_have_to_agree() {
    let mut writer = Writer::new().unwrap();
    writer.number("FREQ", 32e9, "").unwrap();
    writer.number("WAVEL", 0.0135, "").unwrap();
    assert!(refusal(&writer.finish().unwrap()).contains("WAVEL and FREQ disagree"));
}

/// `bytes` with the card of a key replaced.
fn with_card(bytes: &[u8], key: &str, card: &str) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let start = format!("{key:<8}=");
    let at = (0..bytes.len() / 80)
        .map(|i| i * 80)
        .rfind(|&at| bytes[at..].starts_with(start.as_bytes()));
    bytes[at.unwrap()..][..80].copy_from_slice(format!("{card:<80}").as_bytes());
    bytes
}

#[test]
fn damaged_files_are_errors_that_name_the_unit() {
    let set = MapSet { maps: vec![raster("MAP0", 0.0, Sigma::Unknown)], ..MapSet::default() };
    let good = write(&set);
    for (key, card, said) in [
        ("NAXIS1", "NAXIS1  =        1000000000000", "promises 40000000000000 bytes"),
        ("NAXIS1", "NAXIS1  =  4000000000000000000", "impossible"),
        ("NAXIS1", "NAXIS1  =                   -8", "NAXIS1 is -8"),
        ("NAXIS1", "NAXIS1  = '8       '", "expected an integer"),
        ("NAXIS", "NAXIS   =                  999", "NAXIS is 999"),
        ("NAXIS", "NAXIS   =                    3", "expected NAXIS3"),
        ("BITPIX", "BITPIX  =                  -65", "BITPIX is -65"),
        ("PCOUNT", "PCOUNT  =                   -1", "impossible"),
        ("GCOUNT", "GCOUNT  =  9223372036854775807", "impossible"),
        ("DU", "DU      =                  0.0", "step"),
        ("DU", "DU      = 'wide    '", "DU is not a number"),
        ("DZ", "DZ      = ", "no key DZ"),
        ("DZ", "DZ      = '-27 mm  '", "DZ is not a number: '-27 mm'"),
        ("DZ", "DZ      =                    T", "DZ is not a number: 'T'"),
        ("XTENSION", "XTENSION= 'A3DTABLE'", "A3DTABLE"),
    ] {
        let message = refusal(&with_card(&good, key, card));
        assert!(message.contains("HDU 1") && message.contains(said), "{card}: {message}");
    }
    for length in [0, 1, 79, 80, 2879, good.len() / 2, good.len() - 2880, good.len() - 1] {
        refusal(&good[..length]);
    }
    refusal(&[b' '; 5760]);
    refusal(b"SIMPLE");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_damage_makes_the_reader_panic(
        scattered in prop::bool::ANY,
        bytes_anywhere in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        letters in prop::collection::vec((any::<prop::sample::Index>(), b' '..=b'~'), 0..3),
        digits in prop::collection::vec((any::<prop::sample::Index>(), b'0'..=b'9'), 0..4),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut set = simulated();
        if scattered {
            set.maps[0].sigma = Sigma::PerSample(vec![0.5; 40]);
        }
        let mut bytes = write(&set);
        // Most damage is found by the check of the headers, so most of it is made where CFITSIO
        // would find it: in the values of cards, where other texts and numbers are valid as well.
        let values: Vec<usize> = (0..bytes.len())
            .filter(|&i| (10..31).contains(&(i % 80)) && &bytes[i / 80 * 80 + 8..][..2] == b"= ")
            .collect();
        for (at, new) in letters.into_iter().chain(digits) {
            bytes[values[at.index(values.len())]] = new;
        }
        for (at, byte) in bytes_anywhere {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = read_maps(&bytes, "x");
    }
}

/// Third-party data, where it lies beside the project.
fn shared(file: &str) -> Option<Vec<u8>> {
    let folder = std::env::var("OOF_SHARED_DATA")
        .unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").into());
    let bytes = std::fs::read(std::path::Path::new(&folder).join(file)).ok();
    if bytes.is_none() {
        println!("skipped: {file} is not in {folder}");
    }
    bytes
}

#[test]
fn a_file_written_by_pyoof_is_read() {
    let Some(bytes) = shared("pyoof-simulated.fits") else {
        return;
    };
    let set = read_maps(&bytes, "pyoof").unwrap();
    let defocus: Vec<f64> = set.maps.iter().map(|m| m.defocus).collect();
    assert_eq!(defocus, [-0.022, 0.0, 0.022]);
    assert_eq!(set.maps[0].name, "MINUS OOF");
    for map in &set.maps {
        let Sampling::Raster { u, v } = &map.sampling else { panic!("not a raster") };
        assert_eq!((u.len(), v.len()), (97, 97));
    }
    // Its first two samples, as astropy shows them.
    assert!((set.maps[0].power[0] - 23.153694).abs() < 1e-6);
    assert!((set.maps[0].power[1] - 38.45489).abs() < 1e-5);
    assert!((set.wavelength.unwrap() - 0.009_368_514_312_5).abs() < 1e-15);
}

#[test]
fn a_file_of_the_green_bank_telescope_is_read() {
    let Some(bytes) = shared("gbt-t3.fits") else {
        return;
    };
    let set = read_maps(&bytes, "gbt").unwrap();
    let defocus: Vec<f64> = set.maps.iter().map(|m| m.defocus).collect();
    assert_eq!(defocus, [0.0, 0.035, -0.035]);
    let map = &set.maps[0];
    assert_eq!(map.power.len(), 2839);
    let Sampling::Scattered { u, v } = &map.sampling else { panic!("not scattered") };
    assert!((u[0] - 0.00123531).abs() < 1e-8 && (v[0] - 0.00027274).abs() < 1e-8);
    assert!(matches!(&map.sigma, Sigma::PerSample(s) if (s[0] - 0.03332443).abs() < 1e-7));
    assert_eq!(set.telescope.as_deref(), Some("GBT"));
    assert!((set.chop.unwrap() - 2.80222e-4).abs() < 1e-9);
}
