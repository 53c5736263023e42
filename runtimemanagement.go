package serin

// RuntimeManagement says when the runtime of a version may move to another patch version. Serin runs the
// interpreter of its machine, so it keeps the setting and shows it.
type RuntimeManagement struct {
	UpdateOn          string `json:"updateOn"`                    // Auto, FunctionUpdate or Manual
	RuntimeVersionARN string `json:"runtimeVersionArn,omitempty"` // with Manual only
}

// RuntimeUpdateAuto is the setting of a version that has none, RuntimeUpdateManual the one that names a runtime
// version.
const (
	RuntimeUpdateAuto   = "Auto"
	RuntimeUpdateManual = "Manual"
)

// RuntimeManagementAt returns the setting of $LATEST or a published version.
//
// Errors: KindNotFound for a missing version, KindInvalid for an alias.
func (f *Function) RuntimeManagementAt(qualifier string) (RuntimeManagement, error) {
	if err := f.checkRuntimeManaged(qualifier); err != nil {
		return RuntimeManagement{}, err
	}
	if m := f.At(qualifier).RuntimeManagement; m != nil {
		return *m, nil
	}
	return RuntimeManagement{UpdateOn: RuntimeUpdateAuto}, nil
}

// PutRuntimeManagement changes the setting of $LATEST or a published version. running is the ARN of the
// runtime version that runs the version, "" if the package brings its own runtime. A manual setting must name
// that one, because there is no other.
//
// Errors: KindNotFound for a missing version, KindInvalid for an alias or another runtime version.
func (f *Function) PutRuntimeManagement(qualifier string, m RuntimeManagement, running string) error {
	if err := f.checkRuntimeManaged(qualifier); err != nil {
		return err
	}
	switch {
	case m.UpdateOn != RuntimeUpdateManual && m.RuntimeVersionARN != "":
		return Errorf(KindInvalid, "RuntimeVersionArn is for UpdateRuntimeOn %s only.", RuntimeUpdateManual)
	case m.UpdateOn == RuntimeUpdateManual && m.RuntimeVersionARN == "":
		return Errorf(KindInvalid, "UpdateRuntimeOn %s needs a RuntimeVersionArn.", RuntimeUpdateManual)
	case m.UpdateOn == RuntimeUpdateManual && running == "":
		return Errorf(KindInvalid, "The function brings its own runtime, so there is no runtime version to keep.")
	case m.UpdateOn == RuntimeUpdateManual && m.RuntimeVersionARN != running:
		return Errorf(KindInvalid, "The runtime version %s is not available here. The only one is %s.", m.RuntimeVersionARN, running)
	}
	f.attach(qualifier, func(a *Attachments) { a.RuntimeManagement = &m })
	return nil
}

func (f *Function) checkRuntimeManaged(qualifier string) error {
	_, alias, err := f.Resolve(qualifier)
	if err == nil && alias != nil {
		return Errorf(KindInvalid, "Runtime management belongs to $LATEST and to published versions, not to aliases such as %s.", alias.Name)
	}
	return err
}

// Settings of [Function.RecursiveLoop], as AWS names them.
const (
	RecursiveLoopAllow     = "Allow"
	RecursiveLoopTerminate = "Terminate" // the default
)

// RecursiveLoopSetting returns what to do with a function that calls itself.
func (f *Function) RecursiveLoopSetting() string {
	if f.RecursiveLoop == "" {
		return RecursiveLoopTerminate
	}
	return f.RecursiveLoop
}
