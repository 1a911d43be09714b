package command

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// bridge sends gRPC's own log to ours: what it calls information is dropped,
// its warnings are our debugging, its errors our warnings, for they tell of
// connections that are retried. gRPC ends the process itself after Fatal.
type bridge struct{ log hclog.Logger }

func line(args []any) string { return strings.TrimSuffix(fmt.Sprintln(args...), "\n") }

func (bridge) Info(...any)          {}
func (bridge) Infoln(...any)        {}
func (bridge) Infof(string, ...any) {}

func (b bridge) Warning(args ...any)   { b.log.Debug(fmt.Sprint(args...)) }
func (b bridge) Warningln(args ...any) { b.log.Debug(line(args)) }

func (b bridge) Warningf(format string, args ...any) { b.log.Debug(fmt.Sprintf(format, args...)) }

func (b bridge) Error(args ...any)   { b.log.Warn(fmt.Sprint(args...)) }
func (b bridge) Errorln(args ...any) { b.log.Warn(line(args)) }

func (b bridge) Errorf(format string, args ...any) { b.log.Warn(fmt.Sprintf(format, args...)) }

func (b bridge) Fatal(args ...any)   { b.log.Error(fmt.Sprint(args...)) }
func (b bridge) Fatalln(args ...any) { b.log.Error(line(args)) }

func (b bridge) Fatalf(format string, args ...any) { b.log.Error(fmt.Sprintf(format, args...)) }

// V drops every level of verbosity above the plain one.
func (bridge) V(level int) bool { return level <= 0 }
