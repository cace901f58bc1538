//go:build !unix

package process

import "syscall"

func attributes(bool, *Account) *syscall.SysProcAttr { return nil }

func (p *Process) signalGroup(syscall.Signal) {}
