//! The page is built by `cargo xtask`, never here. `REQUIRE_UI_ASSETS=1` (CI, images) refuses a
//! binary without it.

use std::path::Path;

const REQUIRED: &str = "REQUIRE_UI_ASSETS";

fn main() {
    println!("cargo::rerun-if-env-changed={REQUIRED}");
    let built = Path::new("web/dist/index.html").exists();
    // A path that does not exist would run this, and compile the crate, each time.
    let watched = ["web/dist", "web", "build.rs"];
    if let Some(watched) = watched.iter().find(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={watched}");
    }
    let required = std::env::var(REQUIRED).is_ok_and(|value| value == "1");
    if required && !built {
        println!(
            "cargo::error={REQUIRED}=1, but consumer-ui/web/dist/index.html is missing: run `npm ci && npm run build` in consumer-ui/web"
        );
    }
}
