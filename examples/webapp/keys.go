package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/authfactor/mfa"
)

// keyring is that of MFA_KEYS or else of the file beside the database, which is made with it.
func keyring(o options) (*mfa.Keyring, error) {
	if env := o.getenv("MFA_KEYS"); env != "" {
		ring, err := mfa.ParseKeyring(env)
		if err != nil {
			return nil, fmt.Errorf("MFA_KEYS: %w", err)
		}
		return ring, nil
	}
	text, err := readKey(o.keyFile())
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeKey(o)
	}
	if err != nil {
		return nil, err
	}
	ring, err := mfa.ParseKeyring(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.keyFile(), err)
	}
	return ring, nil
}

// keyFile is webapp.key beside webapp.db.
func (o options) keyFile() string { return strings.TrimSuffix(o.db, filepath.Ext(o.db)) + ".key" }

func readKey(keyFile string) (string, error) {
	f, err := os.Open(keyFile) //nolint:gosec // its name is a flag
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("%s has mode %#o, so that other users of this machine may read it: `chmod 600 %[1]s`", keyFile, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return string(text), err
}

// makeKey makes the file, and only if there is nothing yet that another key sealed.
func makeKey(o options) (string, error) {
	keyFile := o.keyFile()
	if _, err := os.Stat(o.db); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is there without %s, and another key would open nothing in it: put the key back or set MFA_KEYS to it; if both are to be made anew, move %[1]s away", o.db, keyFile)
	}
	f, err := os.OpenFile(keyFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // its name is a flag
	if err != nil {
		return "", fmt.Errorf("making a key: %w: if another server has just made it, start again", err)
	}
	key := mfa.NewKey()
	_, err = io.WriteString(f, key+"\n")
	// On disk before the first record is, or a power cut leaves records without a key.
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("writing a key: %w", err), os.Remove(keyFile))
	}
	return key, nil
}
