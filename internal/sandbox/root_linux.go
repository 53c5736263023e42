//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is a file or directory of the host that sandboxes show.
type mount struct {
	source, target string
	flags          uint64
}

// systemDirs are the host's directories that programs need. Where one is a link into /usr, it is a link in the sandbox.
func systemDirs() []string {
	return []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}
}

// systemFiles are what programs look for in /etc and what says nothing of the host.
func systemFiles() []string {
	return []string{
		"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/mime.types",
		"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki", "/etc/ca-certificates", "/etc/ca-certificates.conf",
		"/etc/protocols", "/etc/services", "/etc/gai.conf", "/etc/crypto-policies",
	}
}

func devices() []string { return []string{"null", "zero", "full", "random", "urandom"} }

// makeRoot makes the directory that is the root of all sandboxes and returns what is to be mounted in it.
func makeRoot(root string, cfg *Config) ([]mount, error) {
	for _, dir := range []string{
		// The dynamic linker of a program that starts before the code is there remembers which directories are missing.
		taskDir + "/lib", layersDir, runtimeDir, tmpDir, hostDir, "/proc", "/dev", "/etc", "/var/lang", "/home/sbx_user1051", "/run",
	} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			return nil, err
		}
	}
	var mounts []mount
	for _, dir := range systemDirs() {
		m, err := showSystemDir(root, dir)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, m...)
	}
	const quiet = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
	for _, name := range systemFiles() {
		m, err := showFile(root, name, quiet|unix.MS_NOEXEC)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, m...)
	}
	for _, name := range devices() {
		m, err := showFile(root, "/dev/"+name, unix.MS_NOSUID|unix.MS_NOEXEC)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, m...)
	}
	mounts = append(mounts, mount{cfg.Runtime, runtimeDir, quiet | mountFlags(cfg.Runtime)})
	return mounts, writeRootFiles(root, cfg)
}

// showSystemDir makes a link or a place to mount a directory of the system.
func showSystemDir(root, dir string) ([]mount, error) {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(dir)
		if err != nil {
			return nil, err
		}
		return nil, os.Symlink(link, root+dir)
	}
	flags := uint64(unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV) | mountFlags(dir)
	return []mount{{dir, dir, flags}}, os.Mkdir(root+dir, 0o755)
}

// showFile makes a place to mount a file or directory, if the host has it.
func showFile(root, name string, flags uint64) ([]mount, error) {
	source, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, nil //nolint:nilerr // what the host does not have, sandboxes do not have
	}
	info, err := os.Stat(source)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		err = os.MkdirAll(root+name, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(root+name), 0o755); err == nil {
		err = os.WriteFile(root+name, nil, 0o644)
	}
	return []mount{{source, name, flags | mountFlags(source)}}, err
}

// writeRootFiles writes the files that are the same in all sandboxes.
func writeRootFiles(root string, cfg *Config) error {
	id := strconv.Itoa(sandboxUID)
	files := map[string]string{
		"/etc/passwd":        "root:x:0:0:root:/root:/sbin/nologin\nsbx_user1051:x:" + id + ":" + id + "::/home/sbx_user1051:/sbin/nologin\n",
		"/etc/group":         "root:x:0:\nsbx_user1051:x:" + id + ":\n",
		"/etc/hosts":         "127.0.0.1\tlocalhost\n",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
		"/etc/hostname":      "localhost\n",
	}
	if cfg.ResolvConf != "" {
		files["/etc/resolv.conf"] = cfg.ResolvConf
	}
	var errs []error
	for name, text := range files {
		errs = append(errs, os.WriteFile(root+name, []byte(text), 0o644))
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		errs = append(errs, os.Symlink(target, root+"/dev/"+name))
	}
	return errors.Join(errs...)
}

// showable makes the places at which sandboxes can show directories of the host.
func showable(root string, c *Contents) error {
	for _, dir := range c.Show {
		if dir == "/" || filepath.Clean(dir) != dir || !filepath.IsAbs(dir) || strings.HasPrefix(dir+"/", tmpDir+"/") {
			return fmt.Errorf("cannot show %q to functions: install what is there elsewhere, such as in /usr/local", dir)
		}
		place := root + dir
		if below, ok := strings.CutPrefix(dir, layersDir+"/"); ok && c.Layers != "" {
			place = filepath.Join(c.Layers, below)
		}
		if err := os.MkdirAll(place, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// mountFlags returns the flags of the mount that a file is on which a less privileged mount must keep.
func mountFlags(name string) uint64 {
	var s unix.Statfs_t
	if unix.Statfs(name, &s) != nil {
		return 0 // mounting it will say why
	}
	var flags uint64
	for _, f := range [][2]int64{
		{unix.ST_RDONLY, unix.MS_RDONLY},
		{unix.ST_NOSUID, unix.MS_NOSUID},
		{unix.ST_NODEV, unix.MS_NODEV},
		{unix.ST_NOEXEC, unix.MS_NOEXEC},
		{unix.ST_NOATIME, unix.MS_NOATIME},
		{unix.ST_NODIRATIME, unix.MS_NODIRATIME},
		{unix.ST_RELATIME, unix.MS_RELATIME},
	} {
		if s.Flags&f[0] != 0 {
			flags |= uint64(f[1]) //nolint:gosec // a flag
		}
	}
	return flags
}

// tmpOptions are the mount options of /tmp.
func tmpOptions(megabytes int) string { return fmt.Sprintf("mode=1777,size=%dm", max(1, megabytes)) }
