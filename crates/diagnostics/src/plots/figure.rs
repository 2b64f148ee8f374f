//! Holds a drawn figure and writes it to a file.

use crate::Result;
use bayesburn_core::{FileError, files::write_atomically};
use kuva::backend::png::PngBackend;
use kuva::backend::svg::SvgBackend;
use kuva::render::render::Scene;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Pixels for each unit of length in a PNG: sharp in print at the figures' own size.
const PNG_SCALE: f64 = 2.0;
/// A PNG has at most this many pixels, about 100 MiB while it is drawn; a larger figure gets a smaller scale, but at
/// least 1.
const MAX_PIXELS: f64 = 25e6;

/// A figure that cannot be saved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FigureError {
    /// A file name that ends in no known image format.
    #[error("cannot tell the image format of `{}`: end the file name in `.png` or `.svg`", path.display())]
    Extension {
        /// The path passed.
        path: PathBuf,
    },
    /// A figure that could not be drawn as pixels.
    #[error("cannot draw `{}` as pixels ({reason}): save it as `.svg` instead", path.display())]
    Pixels {
        /// The path passed.
        path: PathBuf,
        /// What the renderer reported.
        reason: String,
    },
    /// A file that cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A figure, ready to be saved. It needs no display and no installed fonts.
pub struct Figure {
    scene: Scene,
}

impl Figure {
    pub(super) fn new(scene: Scene) -> Self {
        Self { scene }
    }

    /// Width and height; a PNG has twice as many pixels each way, unless that would be more than 25 million in all.
    #[must_use]
    pub fn size(&self) -> [f64; 2] {
        [self.scene.width, self.scene.height]
    }

    /// The figure as an SVG document.
    #[must_use]
    pub fn to_svg(&self) -> String {
        SvgBackend::new().render_scene(&self.scene)
    }

    /// Writes the figure as `.png` or `.svg`, whichever the path ends in, replacing a file that is there.
    ///
    /// # Errors
    /// If the path ends in anything else, its folder does not exist, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), FigureError> {
        let path = path.as_ref();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let bytes = match extension.as_deref() {
            Some("svg") => self.to_svg().into_bytes(),
            Some("png") => self.to_png().map_err(|reason| FigureError::Pixels { path: path.into(), reason })?,
            _ => return Err(FigureError::Extension { path: path.into() }),
        };
        Ok(write_atomically(path, |file| file.write_all(&bytes)).map_err(FileError::write(path))?)
    }

    fn to_png(&self) -> Result<Vec<u8>, String> {
        let [width, height] = self.size();
        let scale = PNG_SCALE.min((MAX_PIXELS / (width * height)).sqrt()).max(1.0);
        PngBackend::new().with_scale(scale as f32).render_scene(&self.scene)
    }
}

/// The size only: a scene prints as megabytes of coordinates.
impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figure").field("size", &self.size()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    fn figure() -> Figure {
        Figure::new(Scene::new(40.0, 30.0))
    }

    #[test]
    fn the_extension_chooses_the_format() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (png, svg) = (folder.path().join("a.PNG"), folder.path().join("a.svg"));
        figure().save(&png).expect("writable");
        figure().save(&svg).expect("writable");
        assert!(std::fs::read(png).expect("written").starts_with(b"\x89PNG"));
        assert!(std::fs::read_to_string(svg).expect("written").starts_with("<svg"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("still there").count(), 2);
    }

    #[test]
    fn bad_paths_are_refused_with_the_path_and_the_cause() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = figure().save(folder.path().join("a.jpeg")).expect_err("no such format").to_string();
        assert!(error.contains("a.jpeg") && error.contains(".png") && error.contains(".svg"), "{error}");
        let error = figure().save(folder.path().join("missing/a.svg")).expect_err("no such folder");
        assert!(error.to_string().contains("missing/a.svg"), "{error}");
        assert!(error.source().is_some());
        assert_eq!(std::fs::read_dir(folder.path()).expect("still there").count(), 0);
    }
}
