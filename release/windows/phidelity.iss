; The installer for Windows. `python -m release.package` calls Inno Setup's compiler with these definitions:
;   Version, VersionNumbers   from engine/version.py
;   Program                   the folder that PyInstaller made
;   Output, Name              where the installer goes, and what it is called
;   Icon                      the icon
;   Sign                      only where there is a certificate

#ifndef Version
  #error Version is not defined: run python -m release.package
#endif

[Setup]
AppId={{AE8C112C-97AC-558A-87CF-6868A3796DA5}
AppName=Phidelity
AppVersion={#Version}
AppVerName=Phidelity {#Version}
AppPublisher=The authors of Phidelity
AppComments=Chat with Phi-3 models on your own computer, offline
VersionInfoVersion={#VersionNumbers}
; For the user alone; whoever may, can choose all users.
PrivilegesRequired=lowest
PrivilegesRequiredOverridesAllowed=dialog commandline
; For the user alone this is Local\Programs\Phidelity. Chats and models are in Local\Phidelity, which setup never touches.
DefaultDirName={autopf}\Phidelity
DisableProgramGroupPage=yes
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
MinVersion=10.0.17763
OutputDir={#Output}
OutputBaseFilename={#Name}
SetupIconFile={#Icon}
UninstallDisplayIcon={app}\phidelity.exe
UninstallDisplayName=Phidelity
WizardStyle=modern
Compression=lzma2/max
SolidCompression=yes
ChangesAssociations=yes
CloseApplications=yes
RestartApplications=no
#ifdef Sign
SignTool=phidelity
SignedUninstaller=yes
#endif

[Languages]
Name: "english"; MessagesFile: "compiler:Default.isl"

[CustomMessages]
OpenModels=Open model files (.gguf) with Phidelity
ModelFile=GGUF language model

[Tasks]
Name: "association"; Description: "{cm:OpenModels}"; GroupDescription: "{cm:AdditionalIcons}"
Name: "desktopicon"; Description: "{cm:CreateDesktopIcon}"; GroupDescription: "{cm:AdditionalIcons}"; Flags: unchecked

[InstallDelete]
; What an earlier version had and this one has not would still be found.
Type: filesandordirs; Name: "{app}\_internal"
Type: filesandordirs; Name: "{app}\licenses"

[Files]
Source: "{#Program}\*"; DestDir: "{app}"; Flags: ignoreversion recursesubdirs createallsubdirs

[Icons]
Name: "{autoprograms}\Phidelity"; Filename: "{app}\phidelity.exe"
Name: "{autodesktop}\Phidelity"; Filename: "{app}\phidelity.exe"; Tasks: desktopicon

[Registry]
; Always among the programs that can open a model; the first of them only if the user says so.
Root: HKA; Subkey: "Software\Classes\Phidelity.gguf"; ValueType: string; ValueName: ""; ValueData: "{cm:ModelFile}"; Flags: uninsdeletekey
Root: HKA; Subkey: "Software\Classes\Phidelity.gguf\DefaultIcon"; ValueType: string; ValueName: ""; ValueData: "{app}\phidelity.exe,0"
Root: HKA; Subkey: "Software\Classes\Phidelity.gguf\shell\open\command"; ValueType: string; ValueName: ""; ValueData: """{app}\phidelity.exe"" ""%1"""
Root: HKA; Subkey: "Software\Classes\.gguf\OpenWithProgids"; ValueType: string; ValueName: "Phidelity.gguf"; ValueData: ""; Flags: uninsdeletevalue
Root: HKA; Subkey: "Software\Classes\.gguf"; ValueType: string; ValueName: ""; ValueData: "Phidelity.gguf"; Flags: uninsdeletevalue; Tasks: association

[Run]
Filename: "{app}\phidelity.exe"; Description: "{cm:LaunchProgram,Phidelity}"; Flags: nowait postinstall skipifsilent
