//! Finds the device that networks are computed on.

use burn::tensor::Device;
#[cfg(feature = "cuda")]
use burn::tensor::DeviceType;
use std::path::PathBuf;
use thiserror::Error;

/// Why there is no such device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// A name that no device has.
    #[error(
        "no device is called `{name}`: devices are `flex` and `ndarray`, which are processors, and `cuda` or \
         `cuda:N`, NVIDIA's GPU number N from 0"
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// A device that this program was built without.
    #[error(
        "this program was built without `{feature}`: build it with `--features {feature}`, or choose another device"
    )]
    NotBuilt {
        /// The feature that has it.
        feature: &'static str,
    },
    /// No GPU, or no driver.
    #[error(
        "there is no GPU of NVIDIA's here, or no driver: `nvidia-smi` must list it; choose another device, such as \
         `flex`, to run on the processor"
    )]
    NoGpu,
    /// A number beyond those of the GPUs.
    #[error(
        "there is no `cuda:{index}`: this machine has {available} of NVIDIA's GPUs, numbered from 0, and \
         CUDA_VISIBLE_DEVICES may hide others"
    )]
    Index {
        /// The number asked for.
        index: usize,
        /// How many there are.
        available: usize,
    },
    /// The library of mathematical functions, which kernels are made with when the program runs.
    #[error(
        "CUDA's libdevice.10.bc is not in {}: install the CUDA toolkit, or NVIDIA's package nvidia-nvvm of PyPI, and \
         set CUDA_PATH to the folder that has nvvm/libdevice in it", folder.display()
    )]
    NoLibdevice {
        /// Where it was looked for.
        folder: PathBuf,
    },
}

/// The device of this name: `flex` or `ndarray`, which compute on the processor, `cuda` or `cuda:N`, NVIDIA's GPU
/// number N.
///
/// ```
/// use bayesburn_networks::{default_device, device};
///
/// // A GPU, if this program was built with CUDA and there is one.
/// let device_of_training = device("cuda").unwrap_or_else(|_| default_device());
/// assert!(device("gpu").unwrap_err().to_string().contains("cuda:N"));
/// ```
///
/// # Errors
/// A name that is none, a device that this program was built without, a GPU that is not there.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown { name: name.to_owned() };
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => (kind, Some(index.parse::<u16>().map_err(|_| unknown())?)),
        None => (name, None),
    };
    let device = match (kind, index) {
        ("flex", None) => flex()?,
        ("ndarray", None) => ndarray()?,
        ("cuda", index) => cuda(usize::from(index.unwrap_or(0)))?,
        _ => return Err(unknown()),
    };
    check_device(&device)?;
    Ok(device)
}

/// The device of programs that choose none: the processor, by Burn Flex.
///
/// A program built with CUDA therefore uses a GPU only if it is told to, and also runs on machines without one. Without
/// the feature `flex` it is Burn's own default device.
#[must_use]
pub fn default_device() -> Device {
    flex().unwrap_or_else(|_| Device::default())
}

/// Whether this is a processor by Burn Flex or ndarray, on which each core computes a share of its own.
#[doc(hidden)]
#[must_use]
pub fn is_processor(device: &Device) -> bool {
    [flex(), ndarray()].into_iter().flatten().any(|processor| processor == *device)
}

/// Whether networks can be computed on this device, before they are.
///
/// # Errors
/// A GPU that is not there, or lacks what programs for it need. Burn itself panics at the first tensor.
pub fn check_device(device: &Device) -> Result<(), DeviceError> {
    #[cfg(feature = "cuda")]
    {
        use burn::backend::{CubeDevice, DispatchDevice};
        if let DispatchDevice::Cube(CubeDevice::Cuda(wanted)) = device.clone().without_autodiff().as_dispatch() {
            return check_cuda(wanted.index);
        }
    }
    let _ = device;
    Ok(())
}

#[cfg(feature = "flex")]
fn flex() -> Result<Device, DeviceError> {
    Ok(Device::flex())
}

#[cfg(not(feature = "flex"))]
fn flex() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { feature: "flex" })
}

#[cfg(feature = "ndarray")]
#[expect(deprecated, reason = "a feature for as long as Burn has it")]
fn ndarray() -> Result<Device, DeviceError> {
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { feature: "ndarray" })
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device, DeviceError> {
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { feature: "cuda" })
}

#[cfg(feature = "cuda")]
fn check_cuda(index: usize) -> Result<(), DeviceError> {
    match Device::enumerate(DeviceType::Cuda).iter().count() {
        0 => Err(DeviceError::NoGpu),
        available if index >= available => Err(DeviceError::Index { index, available }),
        _ => check_libdevice(std::env::var_os("CUDA_PATH").map(PathBuf::from)),
    }
}

/// As Burn looks for it, so that it is missed before the first step.
#[cfg(feature = "cuda")]
fn check_libdevice(cuda_path: Option<PathBuf>) -> Result<(), DeviceError> {
    const PLACES: [&str; 4] = ["/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda", "/usr"];
    let is_there = |folder: &PathBuf| folder.join("nvvm/libdevice/libdevice.10.bc").is_file();
    let folder = cuda_path.unwrap_or_else(|| {
        let mut places = PLACES.into_iter().map(PathBuf::from);
        places.clone().find(is_there).or_else(|| places.next()).unwrap_or_default()
    });
    if is_there(&folder) { Ok(()) } else { Err(DeviceError::NoLibdevice { folder }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_are_told_which_there_are() {
        for name in ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "cuda:70000", "flex:0", "Flex"] {
            assert_eq!(device(name), Err(DeviceError::Unknown { name: name.to_owned() }));
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_was_not_built_names_its_feature() {
        let error = device("cuda:1").expect_err("not built").to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn gpus_that_are_not_there_are_an_error() {
        match Device::enumerate(DeviceType::Cuda).iter().count() {
            0 => assert_eq!(device("cuda"), Err(DeviceError::NoGpu)),
            available => assert_eq!(device("cuda:900"), Err(DeviceError::Index { index: 900, available })),
        }
        assert_eq!(check_device(&default_device()), Ok(()));
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn libdevice_is_looked_for_where_it_should_be() {
        let folder = std::env::temp_dir().join("no CUDA toolkit");
        assert_eq!(check_libdevice(Some(folder.clone())), Err(DeviceError::NoLibdevice { folder }));
    }
}
