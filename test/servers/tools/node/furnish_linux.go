package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// workDir holds the supervisor's own files in private surroundings. It lies on
// one of the hidden folders, and so leaves with them.
const workDir = "/run/slipway"

// furnish prepares private surroundings; there is nothing to do in shared ones.
func furnish(s Setup) error {
	if !s.Private {
		return nil
	}
	if os.Getpid() != 1 {
		return fmt.Errorf("not the first process of a PID namespace, and so not fit to furnish it")
	}
	for _, step := range []func(Setup) error{mounts, kernelSettings, network, forwards} {
		if err := step(s); err != nil {
			return err
		}
	}
	return nil
}

// mounts cuts the mount namespace off from the machine's, shows the processes
// of this PID namespace, and hides folders that programs insist on writing to.
func mounts(s Setup) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range s.Hide {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
			return fmt.Errorf("hide %s: %w", dir, err)
		}
	}
	return os.MkdirAll(workDir, 0o700)
}

// kernelSettings shows files in place of settings that hold for the whole
// machine, so that a program that writes them changes nothing, and one that
// checks them is content.
func kernelSettings(s Setup) error {
	for setting, value := range s.Kernel {
		shown := filepath.Join(workDir, "kernel", setting)
		if err := os.MkdirAll(filepath.Dir(shown), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(shown, []byte(value+"\n"), 0o600); err != nil {
			return err
		}
		target := filepath.Join("/proc/sys", setting)
		if err := unix.Mount(shown, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cover %s: %w", target, err)
		}
	}
	return nil
}

// network brings up the loopback device and a bridge, with the kernel's old
// ioctls: they need neither iproute2 nor a netlink library.
func network(s Setup) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket to set up the network: %w", err)
	}
	defer unix.Close(fd)
	if err := up(fd, "lo"); err != nil {
		return err
	}
	if s.Bridge == nil {
		return nil
	}
	prefix, err := netip.ParsePrefix(s.Bridge.Prefix)
	if err != nil {
		return fmt.Errorf("the bridge's address: %w", err)
	}
	if err := addBridge(fd, s.Bridge.Name); err != nil {
		return err
	}
	if err := address(fd, s.Bridge.Name, prefix); err != nil {
		return err
	}
	return up(fd, s.Bridge.Name)
}

func forwards(s Setup) error {
	for _, f := range s.Forwards {
		if err := forward(f); err != nil {
			return err
		}
	}
	return nil
}

func addBridge(fd int, name string) error {
	device, err := unix.ByteSliceFromString(name)
	if err != nil {
		return err
	}
	// This one call takes a bare name, for which x/sys has no helper.
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCBRADDBR, uintptr(unsafe.Pointer(&device[0])))
	if errno != 0 {
		return fmt.Errorf("add the bridge %s: %w", name, errno)
	}
	return nil
}

func address(fd int, device string, prefix netip.Prefix) error {
	if !prefix.Addr().Is4() {
		return fmt.Errorf("the address %s of %s is not of IPv4", prefix, device)
	}
	mask := ^uint32(0) << (32 - prefix.Bits())
	for _, set := range []struct {
		request uint
		value   [4]byte
	}{
		{unix.SIOCSIFADDR, prefix.Addr().As4()},
		{unix.SIOCSIFNETMASK, [4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}},
	} {
		request, err := unix.NewIfreq(device)
		if err != nil {
			return err
		}
		if err := request.SetInet4Addr(set.value[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, set.request, request); err != nil {
			return fmt.Errorf("give %s the address %s: %w", device, prefix, err)
		}
	}
	return nil
}

func up(fd int, device string) error {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request); err != nil {
		return fmt.Errorf("read the state of %s: %w", device, err)
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring up %s: %w", device, err)
	}
	return nil
}

// attributes has the kernel kill a child whose supervisor died. The supervisor
// makes all its children on one thread that lasts as long as itself.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
