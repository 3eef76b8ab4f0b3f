//! The examples of `--help` and of the man pages. A test runs all of them, in this order, in one
//! folder.

/// One example.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The program that it is an example of.
    pub tool: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What to type into a shell.
    pub command: &'static str,
}

const fn example(tool: &'static str, does: &'static str, command: &'static str) -> Example {
    Example { tool, does, command }
}

/// Every example. They build on each other's files; the text maps are the only ones from elsewhere.
pub const ALL: &[Example] = &[
    example(
        "oof-simulate",
        "Maps of the dish of arXiv:1805.07439 with random aberrations",
        "oof-simulate --telescope nikolic2018 --grid 64 --order 3 --rms 0.5rad --seed 1 -o maps.fits",
    ),
    example(
        "oof-simulate",
        "Noiseless maps of given aberrations, for NumPy",
        "oof-simulate --telescope nikolic2018 --grid 64 --zernike z3=0.2rad,z5=-0.1rad \\\n      --noise none -o maps.npy",
    ),
    example(
        "oof-simulate",
        "Straight into a fit",
        "oof-simulate --telescope nikolic2018 --grid 64 --rms 0.3rad --order 3 --seed 2 \\\n      | oof-fit --order 3 -o fit.json",
    ),
    example(
        "oof-simulate",
        "What a fit found, as maps at other focus settings",
        "oof-simulate --parameters fit.json --grid 64 --defocus -40mm,0mm,40mm \\\n      --noise none -o model.fits",
    ),
    example(
        "oof-fit",
        "The surface as JSON, and a picture",
        "oof-fit maps.fits --order 3 --plot fit.png",
    ),
    example(
        "oof-fit",
        "Everything as FITS: parameters, covariance, aperture, models, residuals",
        "oof-fit maps.fits --order 3 -o fit.fits",
    ),
    example(
        "oof-fit",
        "Draws from the posterior, of which the JSON has the quantiles",
        "oof-fit maps.fits --order 3 --likelihood gaussian --sample 400 \\\n      --samples draws.csv -o drawn.json",
    ),
    example(
        "oof-fit",
        "A NumPy cube, which does not say what it is of",
        "oof-fit maps.npy --telescope nikolic2018 --wavelength 1.1mm \\\n      --defocus 0mm,-50mm,50mm --order 3",
    ),
    example(
        "oof-fit",
        "A planet, and a receiver's band, which the maps' header says",
        "oof-simulate --telescope nikolic2018 --grid 64 --order 3 --rms 0.3rad --seed 3 --quiet \\\n      --source-radius 25arcsec --bandwidth 8GHz | oof-fit --order 3 -o planet.json",
    ),
    example(
        "oof-fit",
        "Text maps, one a focus setting",
        "oof-fit --telescope srt --frequency 22.23GHz \\\n      --map=-27mm:OUT1.txt --map=0mm:IN.txt --map=27mm:OUT2.txt \\\n      --order 3 --likelihood gaussian",
    ),
    example(
        "oof-fit",
        "The paper's parameters, with the width of the illumination free and bounded",
        "oof-fit maps.fits --order 3 --nuisance none \\\n      --free sigma --bound sigma=0.3..2 -o width.csv",
    ),
    example(
        "oof-fit",
        "The order that the maps tell, and corrections for actuators at x, y in metres",
        "(echo x,y; echo 1.2,0.4; echo -2,1) > actuators.csv\n    oof-fit maps.fits --order auto:4 --quiet --actuators actuators.csv --clip 300um \\\n      -o surface.fits",
    ),
    example(
        "oof-fit",
        "An amplitude of its own shape, and a receiver that may be 2 mm off the axis",
        "oof-fit maps.fits --order 3 --amplitude-order 1 --prior sx=0mm:2mm,sy=0mm:2mm \\\n      -o more.json",
    ),
    example("oof-plot", "A picture of maps", "oof-plot maps.fits -o maps.png"),
    example(
        "oof-plot",
        "A look at a simulation, without a file between",
        "oof-simulate --telescope srt --grid 64 --rms 0.5rad --noise none | oof-plot -o srt.png",
    ),
    example("oof-plot", "The picture of a fit, later", "oof-plot fit.fits -o picture.png"),
    example("oof-grad", "Is the gradient right?", "oof-grad maps.fits --order 3 --check"),
    example(
        "oof-grad",
        "Value, gradient and second derivatives at the parameters of a fit",
        "oof-simulate --parameters fit.json --grid 64 --quiet \\\n      | oof-grad --parameters fit.json --hessian",
    ),
    example(
        "oof-grad",
        "The recorded computation, for Graphviz",
        "oof-grad maps.fits --order 2 --trace dot -o graph.dot",
    ),
    example(
        "oof-bench",
        "Times of gradients and fits on small grids",
        "oof-bench --grid 32,64 --order 2 --repeat 1 -o bench.csv",
    ),
    example(
        "oof-bench",
        "What the second of four tasks would measure of the whole comparison",
        "oof-bench --order 3,5,7,9 --compare numpy,torch,jax --shard 2/4 \\\n      --resume -o bench.csv --dry-run",
    ),
];

/// The examples of one program.
pub fn of(tool: &str) -> impl Iterator<Item = &'static Example> {
    ALL.iter().filter(move |example| example.tool == tool)
}

/// The examples of one program as `--help` ends with them.
pub fn help(tool: &str) -> String {
    let examples = of(tool).map(|e| format!("  {}:\n    {}", e.does, e.command));
    let examples: Vec<String> = examples.collect();
    format!("Examples:\n{}", examples.join("\n"))
}
